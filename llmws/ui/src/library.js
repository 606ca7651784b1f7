/**
 * The conversations at the left: which there are, found and kept in order, renamed, deleted and restored.
 *
 * `page` is the state of the chat page; what is known of the open conversation is its business.
 */
import { batch, computed, signal } from "@preact/signals";
import { t } from "./library-strings.js";
import { recall, remember } from "./page.js";

const OPENED = "llmws.folders";

const newestFirst = (one, other) => other.pinned - one.pinned || other.updated_at - one.updated_at;

/** `chat` as it is now, found as it was `before`. */
function found(chat, before) {
  const match = chat.title === before.title ? before.match : { ...before.match, title_ranges: [] };
  return { ...chat, match };
}

/** A list as it was read so far; `holds` says whether a chat belongs in it. */
class Listed {
  items = signal([]);
  more = signal(null);

  constructor(among, holds) {
    this.among = among;
    this.holds = holds;
  }

  /** Take in a page from the beginning, and keep what follows it. */
  begin({ items, next_cursor }) {
    const fresh = new Set(items.map((chat) => chat.id));
    const last = items.at(-1);
    const follows = (chat) => !fresh.has(chat.id) && last && newestFirst(last, chat) < 0;
    const rest = next_cursor ? this.items.value.filter(follows) : [];
    this.items.value = [...items, ...rest];
    if (!rest.length) this.more.value = next_cursor;
  }

  goOn({ items, next_cursor }) {
    const known = new Set(this.items.value.map((chat) => chat.id));
    this.items.value = [...this.items.value, ...items.filter((chat) => !known.has(chat.id))];
    this.more.value = next_cursor;
  }

  drop(id) {
    if (this.items.value.some((chat) => chat.id === id))
      this.items.value = this.items.value.filter((chat) => chat.id !== id);
  }

  /** Take in what is known of a chat now. */
  know(chat) {
    const before = this.items.value.find((one) => one.id === chat.id);
    if (this.among.query) {
      // Nobody knows whether it is still found; where it stands stays.
      if (before) this.items.value = this.items.value.map((one) => (one === before ? found(chat, one) : one));
      return;
    }
    const others = this.items.value.filter((one) => one !== before);
    if (this.holds(chat)) this.items.value = [...others, chat].sort(newestFirst);
    else if (before) this.items.value = others;
  }
}

const inFolder = (name) => new Listed({ folder: name }, (chat) => chat.folder === name && !chat.archived);

export class Library {
  folders = signal([]);
  tags = signal([]);
  query = signal("");
  /** The tag whose conversations alone are listed, and whether the archived are. */
  tag = signal(null);
  archived = signal(false);
  /** The folders that are open, by name, each with its list. */
  opened = signal(new Map());
  /** Set to the id of the chat whose title is being edited, or to the name of a folder. */
  renaming = signal(null);
  renamingInHeader = signal(false);
  renamingFolder = signal(null);
  /** What is listed unless something is looked for. */
  outside = new Listed({ folder: "" }, (chat) => !chat.archived && !chat.temporary && (!chat.folder || chat.pinned));
  /** What is listed instead. */
  sought = signal(null);
  /** Resolves once what was looked for last is found. */
  seeking = Promise.resolve();

  listed = computed(() => this.sought.value ?? this.outside);
  chats = computed(() => this.listed.value.items.value);

  /** Chats deleted here. What was read before the deletion may come in after it. */
  #gone = new Set();
  #page;

  constructor(page) {
    this.#page = page;
    const names = (recall(localStorage, OPENED) ?? "").split("\n").filter(Boolean);
    this.opened.value = new Map(names.map((name) => [name, inFolder(name)]));
  }

  get #lists() {
    return [this.outside, ...this.opened.value.values(), ...(this.sought.value ? [this.sought.value] : [])];
  }

  // Reading

  find(id) {
    const found = this.#lists.flatMap((list) => list.items.value).find((chat) => chat.id === id);
    return found ?? null;
  }

  /** `chat` as it was last told of: it may have left the lists meanwhile. */
  now(chat) {
    return this.find(chat.id) ?? this.#page.latest(chat, 0);
  }

  /** Take in the first page of what is outside of folders, and which folders and tags there are. */
  refresh({ items, next_cursor, folders, tags }, asked) {
    this.outside.begin({ items: this.#there(items, asked), next_cursor });
    this.#head({ folders, tags });
    for (const { name } of folders) if (this.opened.value.has(name)) this.#read(this.opened.value.get(name));
  }

  #head({ folders, tags }) {
    this.folders.value = folders;
    this.tags.value = tags;
    if (!tags.some(({ name }) => name === this.tag.value) && this.tag.value) this.byTag(null);
  }

  /** Those of `items`, which were asked for at a time, that are there yet; as they are now, as far as that is known. */
  #there(items, asked) {
    return items.filter((chat) => !this.#gone.has(chat.id)).map((chat) => this.#page.latest(chat, asked));
  }

  async #find(values, apply) {
    const asked = performance.now();
    await this.#page.attempt("find", values, ({ items, next_cursor }) =>
      apply({ items: this.#there(items, asked), next_cursor }),
    );
  }

  #read(list) {
    return this.#find(list.among, (found) => {
      list.begin(found);
      for (const chat of found.items) if (chat.id === this.#page.open.value?.id) this.#page.heard(chat);
    });
  }

  showMore(list) {
    return this.#find({ ...list.among, cursor: list.more.value }, (found) => list.goOn(found));
  }

  /** List what `query` finds; an empty one lists all again. */
  search(query) {
    this.query.value = query;
    this.seeking = this.#seek();
  }

  byTag(name) {
    this.tag.value = name;
    this.#seek();
  }

  showArchived(archived) {
    this.archived.value = archived;
    this.#seek();
  }

  async #seek() {
    const [query, tag, archived] = [this.query.value, this.tag.value, this.archived.value];
    if (!query && !tag && !archived) {
      this.sought.value = null;
      return;
    }
    const among = { ...(query && { query }), ...(tag && { tag }), ...(archived && { archived }) };
    const holds = (chat) => chat.archived === archived && (!tag || chat.tags.includes(tag));
    const list = new Listed(among, holds);
    const isWanted = () => query === this.query.value && tag === this.tag.value && archived === this.archived.value;
    await this.#find(among, (found) => {
      if (!isWanted()) return;
      list.begin(found);
      this.sought.value = list;
    });
  }

  toggleFolder(name) {
    const opened = new Map(this.opened.value);
    if (!opened.delete(name)) opened.set(name, inFolder(name));
    this.#keepOpen(opened);
    if (opened.has(name)) this.#read(opened.get(name));
  }

  /** Take in what is known of a chat now, unless it was deleted. */
  know(chat) {
    if (this.isGone(chat.id)) return;
    for (const list of this.#lists) list.know(chat);
  }

  /** The chat that this generation answers in, where it is listed. */
  answering(generation) {
    return this.#lists.flatMap((list) => list.items.value).find((chat) => chat.running === generation);
  }

  isGone(id) {
    return this.#gone.has(id);
  }

  /** Another tab restored it. */
  comeBack(id) {
    this.#gone.delete(id);
  }

  forget(id) {
    this.#gone.add(id);
    for (const list of this.#lists) list.drop(id);
  }

  /** A folder has another name now, or (`to` is empty) is no more; its chats are read anew. */
  folderRenamed({ folder, to }) {
    const opened = new Map(this.opened.value);
    if (opened.delete(folder) && to) opened.set(to, inFolder(to));
    this.#keepOpen(opened);
    this.#page.pulse();
  }

  #keepOpen(opened) {
    this.opened.value = opened;
    remember(localStorage, OPENED, [...opened.keys()].join("\n"));
  }

  // Doing

  startRenaming(chat, inHeader = false) {
    batch(() => {
      this.renaming.value = chat.id;
      this.renamingInHeader.value = inHeader;
    });
  }

  rename(chat, title) {
    this.renaming.value = null;
    if (title && title !== chat.title) this.#page.changes.make(chat, "change", { title });
  }

  /** Keep `chat` elsewhere: `folder`, `tags`, `pinned`, `archived`. */
  async place(chat, where, undone = null) {
    if (!(await this.#page.changes.make(chat, "place", where))) return;
    this.#readHeadings();
    if (undone) this.#page.toast({ text: undone, action: t("undo"), act: () => this.place(chat, this.#whereOf(chat)) });
  }

  #whereOf({ folder, tags, pinned, archived }) {
    return { folder, tags, pinned, archived };
  }

  archive(chat) {
    const archived = !chat.archived;
    this.place(
      chat,
      { archived },
      t(archived ? "archive_done" : "archive_undone", { title: chat.title || t("untitled") }),
    );
  }

  async renameFolder(folder, to) {
    this.renamingFolder.value = null;
    if (to === folder) return;
    await this.#page.attempt("rename_folder", { folder, to }, () => this.folderRenamed({ folder, to }));
  }

  async remove(chat) {
    const list = this.listed.value;
    const place = list.items.value.findIndex((one) => one.id === chat.id);
    const before = list.items.value[place];
    this.#page.forget(chat.id);
    // A change that comes after it would find nothing.
    await this.#page.changes.kept;
    const done = await this.#page.attempt("delete", { id: chat.id });
    const restored = (back) => {
      this.#gone.delete(chat.id);
      // What was found by words that it no longer has, was there all the same.
      if (list.among.query && before) list.items.value = list.items.value.toSpliced(place, 0, found(back, before));
      this.know(back);
      this.#readHeadings();
    };
    if (!done) return restored(chat);
    this.#readHeadings();
    const act = () => this.#page.attempt("restore", { id: chat.id }, restored);
    this.#page.toast({ text: t("deleted", { title: chat.title || t("untitled") }), action: t("undo"), act });
  }

  #readHeadings() {
    this.#page.attempt("headings", {}, (told) => this.#head(told));
  }
}
