/** The menus of the list's entries: what can be done with a conversation, where it can be kept, and its tags. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "./icons.jsx";
import { t } from "./library-strings.js";
import { Popover } from "./popover.jsx";

const LONGEST = 100;

/** The focus goes to the entry after this one, or before it, since this one goes. */
export function focusBeside(entry) {
  const all = [...entry.closest(".lw-side-list").querySelectorAll(".lw-entry-open")];
  const at = all.indexOf(entry.querySelector(".lw-entry-open"));
  (all[at + 1] ?? all[at - 1])?.focus();
}

/** A menu at `entry`, above it where there is no room below; it stands outside of what scrolls. */
function AtEntry({ entry, label, role, onClose, children }) {
  const box = useRef();
  useLayoutEffect(() => {
    const side = entry.closest(".lw-side").getBoundingClientRect();
    const { top, bottom } = entry.getBoundingClientRect();
    const panel = box.current.firstElementChild;
    const below = side.bottom - bottom;
    const fits = below >= panel.offsetHeight + 8 || below >= top - side.top;
    panel.style.top = fits ? `${bottom - side.top}px` : "auto";
    panel.style.bottom = fits ? "auto" : `${side.bottom - top}px`;
    panel.style.maxHeight = `${(fits ? below : top - side.top) - 8}px`;
  });
  return (
    <div class="lw-entry-menu" ref={box}>
      <Popover role={role} label={label} onClose={onClose}>
        {children}
      </Popover>
    </div>
  );
}

function Item({ icon, label, hint, onPick, bad }) {
  return (
    <button type="button" role="menuitem" class="lw-option" data-bad={bad} onClick={onPick}>
      <Icon name={icon} />
      <span class="lw-option-text">{label}</span>
      {hint && <kbd>{hint}</kbd>}
    </button>
  );
}

function Choice({ label, chosen, onPick }) {
  return (
    <button type="button" role="option" class="lw-option" aria-selected={chosen} onClick={onPick}>
      <span class="lw-option-text">{label}</span>
      {chosen && <Icon name="check" />}
    </button>
  );
}

/** What is not there yet, typed; Enter takes it. */
function NewName({ placeholder, onTake }) {
  const onKeyDown = (event) => {
    const name = event.currentTarget.value.trim();
    if (event.key !== "Enter" || !name) return;
    event.preventDefault();
    event.currentTarget.value = "";
    onTake(name);
  };
  return (
    <input
      class="lw-input"
      maxLength={LONGEST}
      placeholder={placeholder}
      aria-label={placeholder}
      onKeyDown={onKeyDown}
    />
  );
}

function FolderChoice({ chat, library, onClose }) {
  const take = (folder) => {
    onClose();
    if (folder !== chat.folder) library.place(chat, { folder });
  };
  const names = library.folders.value.map(({ name }) => name);
  return (
    <>
      <NewName placeholder={t("folder_new")} onTake={take} />
      <div role="listbox" aria-label={t("folder_move")}>
        {names.map((name) => (
          <Choice key={name} label={name} chosen={name === chat.folder} onPick={() => take(name)} />
        ))}
        {chat.folder && <Choice label={t("folder_none")} chosen={false} onPick={() => take("")} />}
      </div>
    </>
  );
}

function TagChoice({ chat, library }) {
  const now = library.now(chat);
  const set = (tags) => library.place(now, { tags: [...tags].sort() });
  const names = [...new Set([...library.tags.value.map(({ name }) => name), ...now.tags])];
  const toggle = (name) => set(now.tags.includes(name) ? now.tags.filter((one) => one !== name) : [...now.tags, name]);
  return (
    <>
      <NewName placeholder={t("tag_new")} onTake={(name) => set(new Set([...now.tags, name]))} />
      <div role="listbox" aria-label={t("tags")} aria-multiselectable="true">
        {names.map((name) => (
          <Choice key={name} label={name} chosen={now.tags.includes(name)} onPick={() => toggle(name)} />
        ))}
      </div>
    </>
  );
}

export function EntryMenu({ chat, entry, library, onClose }) {
  const step = useSignal("menu");
  const label = t("entry_menu", { title: chat.title || t("untitled") });
  const go = (to) => () => {
    step.value = to;
  };
  const act = (doing) => () => {
    onClose();
    doing();
  };
  const putAway = (doing) =>
    act(() => {
      focusBeside(entry);
      doing();
    });
  if (step.value !== "menu") {
    const Choices = step.value === "folder" ? FolderChoice : TagChoice;
    return (
      <AtEntry key={step.value} entry={entry} role="dialog" label={label} onClose={onClose}>
        <Choices chat={chat} library={library} onClose={onClose} />
      </AtEntry>
    );
  }
  return (
    <AtEntry key="menu" entry={entry} role="menu" label={label} onClose={onClose}>
      <Item icon="pencil" label={t("rename")} hint="F2" onPick={act(() => library.startRenaming(chat))} />
      <Item
        icon="pin"
        label={t(chat.pinned ? "unpin" : "pin")}
        onPick={act(() => library.place(chat, { pinned: !chat.pinned }))}
      />
      <Item icon="folder" label={t("folder_move")} onPick={go("folder")} />
      <Item icon="tag" label={t("tags")} onPick={go("tags")} />
      <Item
        icon="archive"
        label={t(chat.archived ? "archive_undo" : "archive")}
        onPick={putAway(() => library.archive(chat))}
      />
      <Item icon="trash" label={t("delete")} hint="Del" bad onPick={putAway(() => library.remove(chat))} />
    </AtEntry>
  );
}

export function FolderMenu({ folder, entry, library, onClose }) {
  const rename = () => {
    onClose();
    library.renamingFolder.value = folder.name;
  };
  const dissolve = () => {
    onClose();
    library.renameFolder(folder.name, "");
  };
  return (
    <AtEntry entry={entry} role="menu" label={t("folder_menu", { name: folder.name })} onClose={onClose}>
      <Item icon="pencil" label={t("rename")} hint="F2" onPick={rename} />
      <Item icon="close" label={t("folder_dissolve")} onPick={dissolve} />
    </AtEntry>
  );
}
