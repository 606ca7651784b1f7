/**
 * The conversations at the left: which there are, found and kept in order, renamed, deleted and restored.
 *
 * `page` is the state of the chat page; what is known of the open conversation is its business.
 */
import { batch, signal } from "@preact/signals";
import { t } from "./strings.js";

export class Library {
  chats = signal([]);
  more = signal(null);
  query = signal("");
  /** Set to the id of the chat whose title is being edited. */
  renaming = signal(null);
  renamingInHeader = signal(false);

  /** Chats deleted here. What was read before the deletion may come in after it. */
  #gone = new Set();
  #page;

  constructor(page) {
    this.#page = page;
  }

  // Reading

  find(id) {
    return this.chats.value.find((chat) => chat.id === id) ?? null;
  }

  async search(query) {
    this.query.value = query;
    await this.#page.attempt("find", { query }, ({ items, next_cursor }) => {
      if (query !== this.query.value) return;
      this.chats.value = items;
      this.more.value = next_cursor;
    });
  }

  async showMore() {
    const values = { query: this.query.value, cursor: this.more.value };
    await this.#page.attempt("find", values, ({ items, next_cursor }) => {
      const known = new Set(this.chats.value.map((chat) => chat.id));
      this.chats.value = [...this.chats.value, ...items.filter((chat) => !known.has(chat.id))];
      this.more.value = next_cursor;
    });
  }

  /** Take in the newest page of the list, as the pulse brings it. */
  refresh({ items: read, next_cursor }) {
    if (this.query.value) return;
    const items = read.filter((chat) => !this.#gone.has(chat.id));
    const fresh = new Set(items.map((chat) => chat.id));
    const oldest = items.at(-1)?.updated_at ?? 0;
    const rest = next_cursor ? this.chats.value.filter((chat) => !fresh.has(chat.id) && chat.updated_at < oldest) : [];
    this.chats.value = [...items, ...rest];
    if (!rest.length) this.more.value = next_cursor;
  }

  /** Take in what is known of a chat now, unless it was deleted; the list is newest first. */
  know(chat, listed = !this.query.value) {
    if (this.isGone(chat.id)) return;
    const others = this.chats.value.filter((one) => one.id !== chat.id);
    if (!listed && others.length === this.chats.value.length) return;
    const place = others.findIndex((one) => one.updated_at < chat.updated_at);
    this.chats.value = others.toSpliced(place < 0 ? others.length : place, 0, chat);
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
    this.chats.value = this.chats.value.filter((chat) => chat.id !== id);
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
    if (title && title !== chat.title) this.#page.changeChat(chat, { title });
  }

  async remove(chat) {
    this.#page.forget(chat.id);
    const done = await this.#page.attempt("delete", { id: chat.id });
    if (!done) return this.#restored(chat);
    const act = () => this.#page.attempt("restore", { id: chat.id }, (restored) => this.#restored(restored));
    this.#page.toast({ text: t("deleted", { title: chat.title || t("untitled") }), action: t("undo"), act });
  }

  #restored(chat) {
    this.#gone.delete(chat.id);
    this.know(chat, true);
  }
}
