/** The chat page: one root, built from the state in conversations.js. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Row } from "./answer.jsx";
import { Composer } from "./composer.jsx";
import { Conversations } from "./conversations.js";
import { Icon, IconButton } from "./icons.jsx";
import { Away, Home, Menu, mount, Toasts } from "./shell.jsx";
import { Sidebar, TitleInput } from "./sidebar.jsx";
import { t } from "./strings.js";

const NEAR_END = 48;

function Header({ page, drawer, onLanguage }) {
  const chat = page.open.value;
  const title = chat ? chat.title || t("untitled") : t("new_chat");
  const renaming = chat && page.renaming.value === chat.id && page.renamingInHeader.value;
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
      {renaming ? (
        <TitleInput chat={chat} page={page} />
      ) : (
        <h2 title={title} onDblClick={() => chat && page.startRenaming(chat, true)}>
          {title}
        </h2>
      )}
      <Menu
        label={t("chat_actions")}
        items={[
          chat && ["pencil", t("rename"), () => page.startRenaming(chat, true)],
          chat && ["download", t("download_markdown"), () => page.download("markdown")],
          chat && ["code", t("download_json"), () => page.download("json")],
          chat && ["trash", t("delete"), () => page.remove(chat)],
          ["globe", t("language"), onLanguage],
        ]}
      />
    </header>
  );
}

const suggestions = [
  ["suggest_1", "idea"],
  ["suggest_2", "code"],
  ["suggest_3", "mail"],
];

function Empty({ page }) {
  const ready = page.model.value?.state === "ready";
  return (
    <div class="lw-empty">
      <h2>{t("empty_title")}</h2>
      {!page.models.value.length && <p class="lw-note">{t("model_none_hint")}</p>}
      {page.model.value?.state === "unavailable" && (
        <p class="lw-note">{`${page.model.value.reason ?? t("model_unavailable")} ${t("unknown_model")}`}</p>
      )}
      <div class="lw-suggestions">
        {suggestions.map(([key, icon]) => (
          <button key={key} type="button" disabled={!ready} onClick={() => page.send(t(key))}>
            <Icon name={icon} />
            <strong>{t(`${key}_title`)}</strong>
            <span>{t(key)}</span>
          </button>
        ))}
      </div>
    </div>
  );
}

/** The messages. It follows the end only while the end is in view. */
function Stream({ page }) {
  const box = useRef();
  const inner = useRef();
  const stuck = useRef(true);
  const behind = useSignal(false);
  const rows = page.rows.value;
  const toEnd = () => {
    stuck.current = true;
    behind.value = false;
    box.current.scrollTop = box.current.scrollHeight;
  };
  const measure = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    stuck.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
    behind.value = !stuck.current;
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => (stuck.current ? toEnd() : measure()));
    observer.observe(inner.current);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  // Whoever asks or opens wants to see the end.
  const asked = rows.at(-2)?.key;
  useLayoutEffect(toEnd, [asked, page.place.value]);
  const showEarlier = async () => {
    const fromEnd = box.current.scrollHeight - box.current.scrollTop;
    await page.showEarlier();
    requestAnimationFrame(() => {
      box.current.scrollTop = box.current.scrollHeight - fromEnd;
    });
  };
  const onWheel = (event) => {
    if (event.deltaY < 0) stuck.current = false;
  };
  const empty = !rows.length && !page.loading.value;
  return (
    <div class="lw-stream">
      <div
        class="lw-log"
        ref={box}
        tabIndex={0}
        role="log"
        aria-label={t("messages")}
        aria-busy={page.running.value}
        onScroll={measure}
        onWheel={onWheel}
      >
        <div class="lw-rows" ref={inner}>
          {page.earlier.value && (
            <button type="button" class="lw-link" onClick={showEarlier}>
              {t("earlier")}
            </button>
          )}
          {page.loading.value && !rows.length && <div class="lw-skeleton" role="status" aria-label={t("loading")} />}
          {empty && <Empty page={page} />}
          {rows.map((row, index) => (
            <Row key={row.key} row={row} page={page} last={index === rows.length - 1} />
          ))}
        </div>
      </div>
      {behind.value && (
        <button type="button" class="lw-latest" onClick={toEnd}>
          <Icon name="arrow_down" />
          {t("latest")}
        </button>
      )}
    </div>
  );
}

function Page({ page, onLanguage }) {
  const drawer = useSignal(false);
  const panel = useSignal(null);
  const input = useRef();
  const onKeyDown = (event) => {
    // What is typed here is no business of the notebook.
    event.stopPropagation();
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      page.startNew();
    } else if (event.key === "Escape" && drawer.value) {
      drawer.value = false;
      input.current.focus();
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
        <Stream page={page} />
        <Toasts page={page} />
        <Composer page={page} panel={panel} input={input} />
      </main>
    </div>
  );
}

export default mount(Conversations, Page);
