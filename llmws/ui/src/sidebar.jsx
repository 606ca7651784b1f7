/** The conversations at the left: found, in their folders and groups; a drawer where the page is narrow. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { drawn } from "./drawn.js";
import { EntryMenu, FolderMenu, focusBeside } from "./entry-menu.jsx";
import { dayGroup, exactTime, relativeTime } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { t } from "./library-strings.js";
import { walk } from "./popover.jsx";
import { SharedWithMe } from "./sharing.jsx";
import { written } from "./shortcuts.jsx";
import "./sidebar.css";

const SEARCH_AFTER_MS = 200;
const DRAGGED = "application/x-llmws-chat";
const MENU_KEYS = (event) => event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey);

/** An input in place of a name: Enter and leaving it keep what was typed, Escape does not. */
function NameInput({ name, label, onKeep, onLeave }) {
  const input = useRef();
  const left = useRef(false);
  useLayoutEffect(() => {
    input.current.focus();
    input.current.select();
  }, []);
  const end = (act) => {
    if (left.current) return;
    left.current = true;
    act();
  };
  // Its own element: where the list is drawn anew the input is left when it is gone.
  const keep = ({ currentTarget }) => end(() => onKeep(currentTarget.value.trim()));
  /** Keys that end it leave the focus where it was. */
  const goBack = () => {
    const place = input.current.closest(".lw-entry, .lw-head");
    drawn().then(() => place.querySelector(".lw-entry-open, [aria-haspopup=menu]")?.focus());
  };
  const onKeyDown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter") keep(event);
    else if (event.key === "Escape") end(onLeave);
    else return;
    // Nor may the key press what has the focus then.
    event.preventDefault();
    goBack();
  };
  return (
    <input
      ref={input}
      class="lw-title-input"
      maxLength={200}
      defaultValue={name}
      aria-label={label}
      onKeyDown={onKeyDown}
      onBlur={keep}
    />
  );
}

export function TitleInput({ chat, page }) {
  const { library } = page;
  return (
    <NameInput
      name={chat.title ?? ""}
      label={t("rename_label")}
      onKeep={(title) => library.renaming.value === chat.id && library.rename(chat, title)}
      onLeave={() => {
        library.renaming.value = null;
      }}
    />
  );
}

/** Words of a message without what Markdown shows them by: bold, code, headings, and the line below a table's head. */
const plain = (words) =>
  words.replace(/\*\*(?=\S)|(?<=\S)\*\*|`+|(?<=^|\s)(?:#{1,6}(?=\s)|\|(?:\s*:?-{3,}:?\s*\|)+)/g, "");

/** `text` with what was found in it marked; `ranges` count code points. What stands between is shown as `says` it. */
function Marked({ text, ranges, says = (words) => words }) {
  if (!ranges?.length) return says(text);
  const letters = [...text];
  const parts = [];
  let end = 0;
  for (const [start, stop] of ranges) {
    parts.push(says(letters.slice(end, start).join("")));
    parts.push(<mark key={start}>{letters.slice(start, stop).join("")}</mark>);
    end = stop;
  }
  return [...parts, says(letters.slice(end).join(""))];
}

/** Where a conversation that was found stands. */
function Place({ chat }) {
  const where = [chat.archived && t("archived"), chat.folder, ...chat.tags.map((tag) => `#${tag}`)].filter(Boolean);
  return <span class="lw-entry-place">{[relativeTime(chat.updated_at), ...where].join(" · ")}</span>;
}

function Found({ chat }) {
  const { match } = chat;
  return (
    <span class="lw-entry-found">
      <span class="lw-entry-title">
        <Marked text={chat.title || t("untitled")} ranges={match.title_ranges} />
      </span>
      {match.text && (
        <span class="lw-entry-line">
          <Marked text={match.text} ranges={match.ranges} says={plain} />
        </span>
      )}
      <Place chat={chat} />
    </span>
  );
}

/** Opens the menu of an entry, and closes it. */
function MenuButton({ label, menu, isOpen, onOpen }) {
  const onClick = (event) => {
    if (isOpen) menu.value = null;
    else onOpen(event);
  };
  return (
    <span class="lw-entry-actions">
      <IconButton name="more" label={label} aria-haspopup="menu" aria-expanded={isOpen} onClick={onClick} />
    </span>
  );
}

function Entry({ chat, page, onPick, menu }) {
  const { library } = page;
  const current = chat.id === page.open.value?.id;
  if (library.renaming.value === chat.id && !library.renamingInHeader.value)
    return (
      <li class="lw-entry" data-current={current}>
        <TitleInput chat={chat} page={page} />
      </li>
    );
  const title = chat.title || t("untitled");
  const hasMenu = menu.value?.chat?.id === chat.id;
  const openMenu = (event) => {
    event.preventDefault();
    event.stopPropagation();
    menu.value = { chat, entry: event.currentTarget.closest(".lw-entry") };
  };
  const onKeyDown = (event) => {
    if (event.key === "F2") library.startRenaming(chat);
    else if (event.key === "Delete") {
      focusBeside(event.currentTarget.closest(".lw-entry"));
      library.remove(chat);
    } else if (MENU_KEYS(event)) return openMenu(event);
    else return;
    event.preventDefault();
  };
  return (
    <li class="lw-entry" data-current={current} data-menu={hasMenu} onContextMenu={openMenu}>
      <button
        type="button"
        class="lw-entry-open"
        title={chat.match ? undefined : `${title}\n${relativeTime(chat.updated_at)} · ${exactTime(chat.updated_at)}`}
        aria-label={title}
        aria-description={chat.match?.text || undefined}
        aria-current={current ? "true" : undefined}
        draggable
        onDragStart={(event) => event.dataTransfer.setData(DRAGGED, chat.id)}
        onClick={() => onPick(chat)}
        onDblClick={() => library.startRenaming(chat)}
        onKeyDown={onKeyDown}
      >
        {chat.match ? <Found chat={chat} /> : <span class="lw-entry-title">{title}</span>}
        {chat.running && <span class="lw-pulse" role="img" aria-label={t("answering")} />}
      </button>
      <MenuButton label={t("entry_menu", { title })} menu={menu} isOpen={hasMenu} onOpen={openMenu} />
    </li>
  );
}

function Entries({ chats, ...rest }) {
  return (
    <ul>
      {chats.map((chat) => (
        <Entry key={chat.id} chat={chat} {...rest} />
      ))}
    </ul>
  );
}

function More({ list, page }) {
  if (!list.more.value) return null;
  return (
    <button type="button" class="lw-link" onClick={() => page.library.showMore(list)}>
      {t("older_chats")}
    </button>
  );
}

function Folder({ folder, page, menu, ...rest }) {
  const { library } = page;
  const over = useSignal(false);
  const list = library.opened.value.get(folder.name);
  const hasMenu = menu.value?.folder?.name === folder.name;
  const openMenu = (event) => {
    event.preventDefault();
    event.stopPropagation();
    menu.value = { folder, entry: event.currentTarget.closest(".lw-folder-head") };
  };
  const onKeyDown = (event) => {
    if (event.key === "ArrowRight" ? !list : event.key === "ArrowLeft" && list) library.toggleFolder(folder.name);
    else if (event.key === "F2") library.renamingFolder.value = folder.name;
    else if (MENU_KEYS(event)) return openMenu(event);
    else return;
    event.preventDefault();
  };
  const onDragOver = (event) => {
    if (!event.dataTransfer.types.includes(DRAGGED)) return;
    event.preventDefault();
    over.value = true;
  };
  const onDrop = (event) => {
    over.value = false;
    const chat = library.find(event.dataTransfer.getData(DRAGGED));
    if (!chat) return;
    event.preventDefault();
    library.place(chat, { folder: folder.name });
  };
  const leave = () => {
    over.value = false;
  };
  return (
    <li class="lw-folder" data-over={over.value} onDragOver={onDragOver} onDragLeave={leave} onDrop={onDrop}>
      <div class="lw-entry lw-folder-head" data-menu={hasMenu} onContextMenu={openMenu}>
        {library.renamingFolder.value === folder.name ? (
          <NameInput
            name={folder.name}
            label={t("rename_label")}
            onKeep={(to) => library.renameFolder(folder.name, to || folder.name)}
            onLeave={() => {
              library.renamingFolder.value = null;
            }}
          />
        ) : (
          <>
            <button
              type="button"
              class="lw-entry-open"
              aria-expanded={Boolean(list)}
              onClick={() => library.toggleFolder(folder.name)}
              onKeyDown={onKeyDown}
            >
              <Icon name="chevron" />
              <Icon name="folder" />
              <span class="lw-entry-title">{folder.name}</span>
              <span class="lw-folder-count">{folder.chats}</span>
            </button>
            <MenuButton
              label={t("folder_menu", { name: folder.name })}
              menu={menu}
              isOpen={hasMenu}
              onOpen={openMenu}
            />
          </>
        )}
      </div>
      {list && (
        <div class="lw-folder-chats">
          <Entries chats={list.items.value} page={page} menu={menu} {...rest} />
          <More list={list} page={page} />
        </div>
      )}
    </li>
  );
}

function Group({ heading, children }) {
  return (
    <section>
      <h3>{heading}</h3>
      {children}
    </section>
  );
}

function ByDay({ chats, ...rest }) {
  const groups = Map.groupBy(chats, (chat) => (chat.pinned ? t("pinned") : dayGroup(chat.updated_at)));
  return [...groups].map(([heading, members]) => (
    <Group key={heading} heading={heading}>
      <Entries chats={members} {...rest} />
    </Group>
  ));
}

/** What was found, or has the tag, or is archived. */
function Sought({ page, ...rest }) {
  const { library } = page;
  const list = library.sought.value;
  const chats = list.items.value;
  const { query, archived } = list.among;
  if (!chats.length)
    return (
      <p class="lw-quiet lw-side-empty" role="status">
        {t(query ? "chats_none" : archived ? "archive_empty" : "tag_empty")}
      </p>
    );
  return (
    <>
      {query ? <Entries chats={chats} page={page} {...rest} /> : <ByDay chats={chats} page={page} {...rest} />}
      <More list={list} page={page} />
    </>
  );
}

function All({ page, ...rest }) {
  const { library } = page;
  const chats = library.outside.items.value;
  const folders = library.folders.value;
  const pinned = chats.filter((chat) => chat.pinned);
  if (page.loading.value && !chats.length)
    return <div class="lw-skeleton-list" role="status" aria-label={t("loading")} />;
  return (
    <>
      {pinned.length > 0 && (
        <Group heading={t("pinned")}>
          <Entries chats={pinned} page={page} {...rest} />
        </Group>
      )}
      {folders.length > 0 && (
        <Group heading={t("folders")}>
          <ul>
            {folders.map((folder) => (
              <Folder key={folder.name} folder={folder} page={page} {...rest} />
            ))}
          </ul>
        </Group>
      )}
      <ByDay chats={chats.filter((chat) => !chat.pinned)} page={page} {...rest} />
      {!chats.length && !folders.length && <p class="lw-quiet lw-side-empty">{t("chats_empty")}</p>}
      <More list={library.outside} page={page} />
      <button type="button" class="lw-link lw-side-archive" onClick={() => library.showArchived(true)}>
        <Icon name="archive" />
        {t("archived")}
      </button>
    </>
  );
}

function Tags({ library }) {
  if (!library.tags.value.length) return null;
  return (
    <fieldset class="lw-labels" aria-label={t("tags")}>
      {library.tags.value.map(({ name, chats }) => {
        const pressed = library.tag.value === name;
        return (
          <button
            key={name}
            type="button"
            class="lw-label"
            aria-pressed={pressed}
            onClick={() => library.byTag(pressed ? null : name)}
          >
            {name}
            <span>{chats}</span>
          </button>
        );
      })}
    </fieldset>
  );
}

function Search({ library }) {
  const input = useRef();
  const timer = useRef(0);
  const seek = (query, after = 0) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => library.search(query), after);
  };
  const onInput = ({ currentTarget, isComposing }) =>
    // What an input method has not made a word of yet is not looked for.
    isComposing || seek(currentTarget.value.trim(), SEARCH_AFTER_MS);
  const clear = () => {
    input.current.value = "";
    seek("");
    input.current.focus();
  };
  /** To what is found, once it is: what stood there before goes. */
  const leave = async () => {
    const side = input.current.closest(".lw-side");
    const query = input.current.value.trim();
    if (query !== library.query.value) {
      clearTimeout(timer.current);
      library.search(query);
    }
    await library.seeking;
    await drawn();
    if (document.activeElement === input.current) side.querySelector(".lw-entry-open")?.focus();
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape" && input.current.value) clear();
    else if (event.key === "ArrowDown") leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <label class="lw-search">
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        placeholder={t("search")}
        aria-label={t("search")}
        onInput={onInput}
        onCompositionEnd={onInput}
        onKeyDown={onKeyDown}
      />
      {library.query.value && <IconButton name="close" label={t("search_clear")} onClick={clear} />}
    </label>
  );
}

export function Sidebar({ page, onClose }) {
  const { library } = page;
  const menu = useSignal(null);
  const list = useRef();
  // Another list begins at its top.
  useLayoutEffect(() => list.current.scrollTo({ top: 0 }), [library.sought.value]);
  const onPick = ({ id, match }) => {
    page.show(id);
    if (match?.message_id) page.showMessage(match.message_id);
    onClose();
  };
  const shared = { page, onPick, menu };
  const closeMenu = () => {
    menu.value = null;
  };
  return (
    <nav class="lw-side" aria-label={t("chats")}>
      <div class="lw-side-head">
        <button
          type="button"
          class="lw-new"
          title={written("Mod+Shift+O")}
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
      <Search library={library} />
      <Tags library={library} />
      {library.archived.value && (
        <button type="button" class="lw-link lw-side-back" onClick={() => library.showArchived(false)}>
          <Icon name="back" />
          {t("archive_back")}
        </button>
      )}
      <div class="lw-side-list" ref={list} onKeyDown={walk(".lw-entry-open")} onScroll={closeMenu}>
        {library.sought.value ? <Sought {...shared} /> : <All {...shared} />}
        {!library.sought.value && <SharedWithMe page={page} onPick={onClose} />}
      </div>
      {menu.value?.chat && <EntryMenu {...menu.value} library={library} onClose={closeMenu} />}
      {menu.value?.folder && <FolderMenu {...menu.value} library={library} onClose={closeMenu} />}
    </nav>
  );
}
