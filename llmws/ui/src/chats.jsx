/** The chat page: one root, built from the state in conversations.js. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { AsCode } from "./as-code.jsx";
import { AssistantDialog, AssistantTag, assistantItem } from "./assistants.jsx";
import { DropHint, useDrop } from "./attachments.jsx";
import { t } from "./chat-strings.js";
import { Composer } from "./composer.jsx";
import { Conversations } from "./conversations.js";
import { Scrim } from "./cover.jsx";
import { drawn } from "./drawn.js";
import { Filling } from "./figures.jsx";
import { IconButton } from "./icons.jsx";
import { useDraft } from "./prompt.jsx";
import { ShareDialog, SharedChat, SharedTitle, shareItem } from "./sharing.jsx";
import { Away, Home, Menu, mount, Toasts } from "./shell.jsx";
import { onShortcut, Shortcuts } from "./shortcuts.jsx";
import { Sidebar, TitleInput } from "./sidebar.jsx";
import { Stream } from "./stream.jsx";
import { Temporary, TemporaryToggle } from "./temporary.jsx";
import { TransferSheets, transferItems } from "./transfer.jsx";
import { Elsewhere, titlesItem } from "./turn-actions.jsx";
import "./chats.css";

function Header({ page, drawer, onLanguage }) {
  const chat = page.open.value;
  const title = chat ? chat.title || t("untitled") : t("new_chat");
  const reading = page.sharing.reading.value;
  const open = (sheet) => {
    page.sheet.value = sheet;
  };
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
        <>
          <h2 title={title} onDblClick={() => chat && page.library.startRenaming(chat, true)}>
            {title}
          </h2>
          <AssistantTag page={page} />
        </>
      )}
      <TemporaryToggle page={page} />
      <Filling page={page} />
      <Menu
        label={t("chat_actions")}
        items={[
          chat && ["pencil", t("rename"), () => page.library.startRenaming(chat, true)],
          shareItem(page),
          !reading && assistantItem(page),
          ...transferItems(page),
          chat && ["trash", t("delete"), () => (chat.temporary ? page.startNew() : page.library.remove(chat))],
          titlesItem(page),
          ["terminal", t("as_code"), () => open("code")],
          ["keyboard", t("shortcuts"), () => open("shortcuts")],
          ["globe", t("language"), onLanguage],
        ]}
      />
    </header>
  );
}

function Page({ page, onLanguage }) {
  const drawer = useSignal(false);
  const panel = useSignal(null);
  const text = useSignal("");
  useDraft(`chat ${page.name}`, text);
  const input = useRef();
  const reading = page.sharing.reading.value;
  const drop = useDrop(page);
  const box = useRef();
  const close = () => {
    drawer.value = false;
  };
  const able = {
    page,
    find: () => {
      drawer.value = true;
      // A drawer that is closed cannot have the focus.
      drawn().then(() => box.current.querySelector(".lw-side input[type=search]").focus());
    },
    walk: (step) => {
      const entries = [...box.current.querySelectorAll(".lw-entry-open:not([aria-expanded])")];
      const open = entries.findIndex((entry) => entry.ariaCurrent === "true");
      entries[open < 0 ? 0 : open + step]?.click();
    },
    help: () => {
      page.sheet.value = "shortcuts";
    },
  };
  const onKeyDown = (event) => {
    // What is typed here is no business of the notebook.
    event.stopPropagation();
    // A wide page has no drawer, whether or not one was asked for.
    if (event.key === "Escape" && box.current.querySelector(".lw-scrim").offsetParent) {
      close();
    } else if (event.key === "Escape" && page.running.value) {
      page.stop();
    } else {
      onShortcut(event, able);
    }
  };
  useEffect(() => {
    // A dashboard is the page: keys are for it, wherever the focus is.
    const onKey = (event) => event.target === document.body && document.body.dataset.voila && onKeyDown(event);
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const closeSheet = () => {
    page.sheet.value = null;
  };
  return (
    <div class="lw-page" ref={box} data-drawer={drawer.value} data-lm-suppress-shortcuts="true" onKeyDown={onKeyDown}>
      <Sidebar page={page} onClose={close} />
      <Scrim open={drawer.value} onClose={close} />
      <main class="lw-main" {...(reading ? {} : drop.handlers)}>
        <Header page={page} drawer={drawer} onLanguage={onLanguage} />
        <Away page={page} />
        <Temporary page={page} />
        {reading ? <SharedChat page={page} /> : <Stream page={page} />}
        {!reading && <Elsewhere page={page} />}
        <Toasts page={page} />
        {!reading && <Composer page={page} panel={panel} input={input} text={text} />}
        <DropHint over={drop.over} />
      </main>
      <ShareDialog page={page} />
      <AssistantDialog page={page} />
      {page.sheet.value === "shortcuts" && <Shortcuts onClose={closeSheet} />}
      {page.sheet.value === "code" && <AsCode page={page} onClose={closeSheet} />}
      <TransferSheets page={page} />
    </div>
  );
}

export default mount(Conversations, Page);
