/** The chat page: one root, built from the state in conversations.js. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { AssistantDialog, assistantItem } from "./assistants.jsx";
import { Composer } from "./composer.jsx";
import { Conversations } from "./conversations.js";
import { IconButton } from "./icons.jsx";
import { ShareDialog, SharedChat, SharedTitle, shareItem } from "./sharing.jsx";
import { Away, Home, Menu, mount, Toasts } from "./shell.jsx";
import { Sidebar, TitleInput } from "./sidebar.jsx";
import { Stream } from "./stream.jsx";
import { t } from "./strings.js";
import "./chats.css";

function Header({ page, drawer, onLanguage }) {
  const chat = page.open.value;
  const title = chat ? chat.title || t("untitled") : t("new_chat");
  const reading = page.sharing.reading.value;
  const renaming = chat && page.library.renaming.value === chat.id && page.library.renamingInHeader.value;
  return (
    <header class="lw-head">
      <Home />
      <IconButton
        name="menu"
        label={t("menu")}
        aria-expanded={drawer.value}
        data-narrow
        onClick={() => {
          drawer.value = true;
        }}
      />
      {reading ? (
        <SharedTitle page={page} />
      ) : renaming ? (
        <TitleInput chat={chat} page={page} />
      ) : (
        <h2 title={title} onDblClick={() => chat && page.library.startRenaming(chat, true)}>
          {title}
        </h2>
      )}
      <Menu
        label={t("chat_actions")}
        items={[
          chat && ["pencil", t("rename"), () => page.library.startRenaming(chat, true)],
          shareItem(page),
          !reading && assistantItem(page),
          chat && ["download", t("download_markdown"), () => page.download("markdown")],
          chat && ["code", t("download_json"), () => page.download("json")],
          chat && ["trash", t("delete"), () => page.library.remove(chat)],
          ["globe", t("language"), onLanguage],
        ]}
      />
    </header>
  );
}

function Page({ page, onLanguage }) {
  const drawer = useSignal(false);
  const panel = useSignal(null);
  const input = useRef();
  const reading = page.sharing.reading.value;
  const onKeyDown = (event) => {
    // What is typed here is no business of the notebook.
    event.stopPropagation();
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      page.startNew();
    } else if (event.key === "Escape" && drawer.value) {
      drawer.value = false;
      input.current?.focus();
    } else if (event.key === "Escape" && page.running.value) {
      page.stop();
    }
  };
  return (
    <div class="lw-page" data-drawer={drawer.value} data-lm-suppress-shortcuts="true" onKeyDown={onKeyDown}>
      <Sidebar
        page={page}
        onClose={() => {
          drawer.value = false;
        }}
      />
      <div
        class="lw-scrim"
        aria-hidden="true"
        onPointerDown={() => {
          drawer.value = false;
        }}
      />
      <main class="lw-main">
        <Header page={page} drawer={drawer} onLanguage={onLanguage} />
        <Away page={page} />
        {reading ? <SharedChat page={page} /> : <Stream page={page} />}
        <Toasts page={page} />
        {!reading && <Composer page={page} panel={panel} input={input} />}
      </main>
      <ShareDialog page={page} />
      <AssistantDialog page={page} />
    </div>
  );
}

export default mount(Conversations, Page);
