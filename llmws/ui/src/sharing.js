/**
 * What others share with a person, and with whom a conversation or an assistant of theirs is shared.
 *
 * `page` is the state of the chat page. A conversation of somebody else's stands in the place of the open one until the
 * page goes to another place.
 */
import { batch, computed, signal } from "@preact/signals";
import { randomId } from "./page.js";
import { newRow } from "./rows.js";
import { t } from "./sharing-strings.js";
import { Told } from "./told.js";

const same = (grant) => (one) => one.kind === grant.kind && one.grantee === grant.grantee;

export class Sharing {
  /** `hub` is null as long as nobody knows. */
  me = signal({ name: "", groups: [], hub: null, links: false });
  chats = signal([]);
  more = signal(null);
  /** What the dialog is about: `{noun, id, title, grants, links}`, of which some are `gone` and can come back; or null. */
  dialog = signal(null);
  #page;
  #told = new Told();
  /** What the dialog waits for. */
  #asked = new Set();
  #meTold = 0;
  #read = signal(null);
  /** The conversation of another that is shown: `{chat, rows, earlier, loading}`, or null. */
  reading = computed(() => (this.#read.value?.place === this.#page.place.value ? this.#read.value : null));

  constructor(page) {
    this.#page = page;
  }

  // What others share

  /** Take in who asks, and the first page of what others share, as they were read by who `asked` at a time. */
  refresh({ me, shared }, asked) {
    if (asked >= this.#meTold) this.me.value = me;
    const items = this.#told.over(shared.items, asked);
    const known = new Set(shared.items.map((chat) => chat.id));
    const oldest = shared.items.at(-1)?.updated_at ?? 0;
    const rest = shared.next_cursor
      ? this.chats.value.filter((chat) => !known.has(chat.id) && chat.updated_at < oldest)
      : [];
    this.chats.value = [...items, ...rest];
    if (!rest.length) this.more.value = shared.next_cursor;
    const { chat } = this.reading.value ?? {};
    if (!chat) return;
    const now = this.chats.value.find((one) => one.id === chat.id);
    if (now?.updated_at !== chat.updated_at) this.#load(chat.id, this.#page.place.value);
  }

  /** Something of the person is otherwise now. */
  knowMe(told) {
    this.#meTold = performance.now();
    this.me.value = { ...this.me.value, ...told };
  }

  async showMore() {
    await this.#page.attempt("more_shared", { cursor: this.more.value }, ({ items, next_cursor }) => {
      const known = new Set(this.chats.value.map((chat) => chat.id));
      this.chats.value = [...this.chats.value, ...items.filter((chat) => !known.has(chat.id))];
      this.more.value = next_cursor;
    });
  }

  read(id) {
    if (this.reading.value?.chat.id === id) return;
    batch(() => {
      this.#page.startNew();
      const chat = this.chats.value.find((one) => one.id === id);
      this.#read.value = { place: this.#page.place.value, chat, rows: [], earlier: null, loading: true };
    });
    this.#load(id, this.#page.place.value);
  }

  /** Read the newest messages; where it is shared no longer, say so and show it no longer. */
  async #load(id, place) {
    const done = await this.#page.attempt("read_shared", { id }, ({ chat, messages, next_cursor }) => {
      if (place !== this.#page.place.value) return;
      const { rows: before, earlier } = this.#read.value;
      const known = new Map(before.map((row) => [row.id, row]));
      const shown = messages.map((item) => {
        const row = known.get(item.id) ?? newRow(item);
        row.message.value = item.message;
        return row;
      });
      const above = before.slice(0, Math.max(0, before.indexOf(shown[0])));
      const cursor = above.length ? earlier : next_cursor;
      const rows = [...above, ...shown];
      this.#read.value = { ...this.#read.value, chat, rows, earlier: cursor, loading: false };
    });
    if (done || this.#page.away.value || place !== this.#page.place.value) return;
    batch(() => {
      this.chats.value = this.chats.value.filter((chat) => chat.id !== id);
      this.#page.startNew();
    });
  }

  /** Read older messages; true where that worked. */
  showEarlier() {
    const { place, chat, earlier: cursor } = this.reading.value;
    return this.#page.attempt("read_shared", { id: chat.id, cursor }, ({ messages, next_cursor }) => {
      const now = this.#read.value;
      if (now.place !== place || now.earlier !== cursor) return;
      this.#read.value = { ...now, rows: [...messages.map(newRow), ...now.rows], earlier: next_cursor };
    });
  }

  /** Go on in a copy; pressed twice it is one, and who went elsewhere meanwhile stays there. */
  async copy() {
    const { place, chat, key = randomId() } = this.reading.value;
    this.#read.value = { ...this.#read.value, key };
    await this.#page.attempt("copy_shared", { id: chat.id, key }, (copied) => {
      this.#page.know(copied);
      if (place === this.#page.place.value) this.#page.show(copied.id);
    });
  }

  async leave() {
    const { place, chat } = this.reading.value;
    const title = chat.title || t("untitled");
    await this.#page.attempt("leave_shared", { id: chat.id }, () => {
      if (place === this.#page.place.value) this.#page.startNew();
      this.#told.know(chat.id, null);
      this.chats.value = this.chats.value.filter((one) => one.id !== chat.id);
      this.#page.toast({ text: t("left_shared", { title }) });
    });
  }

  // With whom one shares

  /** Open the dialog for `thing`, one of `noun`. */
  async open(noun, thing) {
    const about = { noun, id: thing.id, title: thing.name || thing.title || t("untitled"), grants: [], links: [] };
    const alone = this.me.value.hub === false;
    this.dialog.value = { ...about, loading: !alone };
    if (alone) return;
    await this.#ask("sharing", { noun, id: thing.id }, (told) => this.#now({ ...told, loading: false }));
  }

  close() {
    this.dialog.value = null;
  }

  async give(kind, grantee) {
    const { noun, id } = this.dialog.value;
    return this.#ask("give", { noun, id, kind, grantee }, (grant) => {
      const others = this.dialog.value.grants.filter((one) => !same(grant)(one));
      this.#now({ grants: [...others, grant] });
    });
  }

  async takeBack(grant) {
    const { noun, id } = this.dialog.value;
    const { kind, grantee } = grant;
    await this.#ask("take_back", { noun, id, kind, grantee }, () => this.#mark("grants", same(grant), { gone: true }));
  }

  async makeLink(days) {
    const { id } = this.dialog.value;
    await this.#ask("make_link", { id, days, key: randomId() }, (link) => {
      const links = this.dialog.value.links.filter((one) => one.id !== link.id);
      this.#now({ links: [...links, { ...link, url: new URL(link.path, location.origin).href }] });
    });
  }

  async revoke({ id: link }) {
    const { id } = this.dialog.value;
    await this.#ask("revoke_link", { id, link }, () => this.#mark("links", (one) => one.id === link, { gone: true }));
  }

  async restore({ id: link }) {
    const { id } = this.dialog.value;
    await this.#ask("restore_link", { id, link }, () => this.#mark("links", (one) => one.id === link, { gone: false }));
  }

  /**
   * Ask for something that the dialog is about; what goes wrong is said in it, since it lies over the notices. What is
   * pressed again while it is on its way is asked once.
   */
  async #ask(intent, { key, ...values }, apply) {
    const { id } = this.dialog.value;
    const name = JSON.stringify([intent, values]);
    if (this.#asked.has(name)) return true;
    const still = () => this.dialog.value?.id === id;
    this.#now({ problem: null });
    this.#asked.add(name);
    try {
      const asked = { ...values, ...(key && { key }) };
      await this.#page.comm.call(intent, asked, (value) => still() && batch(() => apply(value)));
      return true;
    } catch (problem) {
      if (still()) this.#now({ problem, loading: false });
      return false;
    } finally {
      this.#asked.delete(name);
    }
  }

  #now(changes) {
    this.dialog.value = { ...this.dialog.value, ...changes };
  }

  #mark(list, is, changes) {
    this.#now({ [list]: this.dialog.value[list].map((one) => (is(one) ? { ...one, ...changes } : one)) });
  }
}
