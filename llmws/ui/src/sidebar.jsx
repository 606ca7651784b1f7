/** The conversations at the left; a drawer where the page is narrow. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { dayGroup, exactTime, relativeTime } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { walk } from "./popover.jsx";
import { SharedWithMe } from "./sharing.jsx";
import { t } from "./strings.js";

/** An input in place of a title: Enter and leaving it keep what was typed, Escape does not. */
export function TitleInput({ chat, page }) {
  const input = useRef();
  useLayoutEffect(() => input.current.select(), []);
  const keep = () => page.library.renaming.value === chat.id && page.library.rename(chat, input.current.value.trim());
  const onKeyDown = (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Enter") keep();
    else if (event.key === "Escape") page.library.renaming.value = null;
  };
  return (
    <input
      ref={input}
      class="lw-title-input"
      maxLength={200}
      defaultValue={chat.title ?? ""}
      aria-label={t("rename_label")}
      onKeyDown={onKeyDown}
      onBlur={keep}
      autofocus
    />
  );
}

function Entry({ chat, page, onPick }) {
  const current = chat.id === page.open.value?.id;
  if (page.library.renaming.value === chat.id && !page.library.renamingInHeader.value)
    return (
      <li class="lw-entry" data-current={current}>
        <TitleInput chat={chat} page={page} />
      </li>
    );
  const title = chat.title || t("untitled");
  const rename = () => page.library.startRenaming(chat);
  const onKeyDown = (event) => {
    if (event.key === "F2") rename();
    else if (event.key === "Delete") page.library.remove(chat);
    else return;
    event.preventDefault();
  };
  return (
    <li class="lw-entry" data-current={current}>
      <button
        type="button"
        class="lw-entry-open"
        title={`${title}\n${relativeTime(chat.updated_at)} · ${exactTime(chat.updated_at)}`}
        aria-current={current ? "true" : undefined}
        onClick={() => onPick(chat.id)}
        onDblClick={rename}
        onKeyDown={onKeyDown}
      >
        <span class="lw-entry-title">{title}</span>
        {chat.running && <span class="lw-pulse" role="img" aria-label={t("answering")} />}
      </button>
      <span class="lw-entry-actions">
        <IconButton name="pencil" label={t("rename")} onClick={rename} />
        <IconButton name="trash" label={t("delete")} onClick={() => page.library.remove(chat)} />
      </span>
    </li>
  );
}

function Entries({ page, onPick }) {
  const chats = page.library.chats.value;
  if (page.loading.value && !chats.length && !page.library.query.value)
    return <div class="lw-skeleton-list" role="status" aria-label={t("loading")} />;
  if (!chats.length)
    return <p class="lw-quiet lw-side-empty">{t(page.library.query.value ? "chats_none" : "chats_empty")}</p>;
  const groups = Map.groupBy(chats, (chat) => dayGroup(chat.updated_at));
  return [...groups].map(([heading, members]) => (
    <section key={heading}>
      <h3>{heading}</h3>
      <ul>
        {members.map((chat) => (
          <Entry key={chat.id} chat={chat} page={page} onPick={onPick} />
        ))}
      </ul>
    </section>
  ));
}

export function Sidebar({ page, onClose }) {
  const timer = useRef(0);
  const onPick = (id) => {
    page.show(id);
    onClose();
  };
  const onInput = (event) => {
    const query = event.currentTarget.value.trim();
    clearTimeout(timer.current);
    timer.current = setTimeout(() => page.library.search(query), 200);
  };
  return (
    <nav class="lw-side" aria-label={t("chats")}>
      <div class="lw-side-head">
        <button
          type="button"
          class="lw-new"
          title="Ctrl+Shift+O"
          onClick={() => {
            page.startNew();
            onClose();
          }}
        >
          <Icon name="plus" />
          {t("new_chat")}
        </button>
        <IconButton name="close" label={t("close")} onClick={onClose} data-narrow />
      </div>
      <label class="lw-search">
        <Icon name="search" />
        <input type="search" placeholder={t("search")} aria-label={t("search")} onInput={onInput} />
      </label>
      <div class="lw-side-list" onKeyDown={walk(".lw-entry-open")}>
        <Entries page={page} onPick={onPick} />
        {page.library.more.value && (
          <button type="button" class="lw-link" onClick={() => page.library.showMore()}>
            {t("older_chats")}
          </button>
        )}
        <SharedWithMe page={page} onPick={onClose} />
      </div>
    </nav>
  );
}
