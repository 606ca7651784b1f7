/**
 * What the chat page knows, and all that a person can do on it. Components read the signals and call the methods.
 *
 * Python owns the truth: what is kept here is a snapshot with the deltas since, and what was typed but not yet sent.
 */
import { batch, computed, signal } from "@preact/signals";
import { fold, textOf } from "./messages.js";
import { connect, randomId, recall, remember, saveFile } from "./page.js";
import { t } from "./strings.js";

const PULSE_MS = 15_000;
const IMPATIENT_PULSE_MS = 1_500;
const TOAST_MS = 8_000;

let rows = 0;

/** A message on the page; without an id it has not reached the service yet, and `again` sends it anew. */
function newRow({ id = null, generation_id = null, created_at = Date.now() / 1000, message }) {
  return { key: ++rows, id, generation: generation_id, at: created_at, message: signal(message), again: null };
}

const isOpen = (row) => row?.message.value.role === "assistant" && !row.message.value.finish_reason;

export class Conversations {
  models = signal([]);
  chats = signal([]);
  moreChats = signal(null);
  query = signal("");
  /** The chat that is shown; null is a new one that has not been sent. */
  open = signal(null);
  draft = signal({ model: null, parameters: {}, system: "" });
  rows = signal([]);
  earlier = signal(null);
  loading = signal(true);
  away = signal(false);
  toasts = signal([]);
  /** Set to the id of the chat whose title is being edited. */
  renaming = signal(null);
  renamingInHeader = signal(false);
  /** What counts as one place: it changes when another conversation is shown. */
  place = signal(0);

  running = computed(() => isOpen(this.rows.value.at(-1)));
  modelId = computed(() => this.open.value?.model ?? this.draft.value.model);
  model = computed(() => this.models.value.find((model) => model.id === this.modelId.value) ?? null);
  settings = computed(() => this.open.value ?? this.draft.value);

  #timer = 0;
  #starting = false;
  /** Chats deleted here. What was read before the deletion may come in after it. */
  #gone = new Set();
  #memory;

  constructor(model) {
    // A page that is run again, and every visit to a dashboard, is new to the kernel: this tab knows what it showed.
    this.#memory = `llmws.chat:${location.pathname}`;
    this.wanted = model.get("model");
    this.comm = connect(model, {
      deltas: (message) => this.#fold(message),
      gap: () => this.#show(this.open.value?.id ?? null),
      chat: ({ chat }) => {
        this.#gone.delete(chat.id);
        this.#know(chat);
      },
      removed: ({ id }) => this.#forget(id),
      appended: (message) => this.#append(message),
      refused: ({ error }) => this.fail(error),
      // What takes long may wait for a service that is away: ask at once.
      slow: (intent) => intent !== "pulse" && this.#pulse(),
    });
    this.silent = this.comm.silent;
    document.addEventListener("visibilitychange", this.#wake);
    this.start();
  }

  close() {
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#wake);
    this.comm.close();
  }

  // Reading

  async start() {
    this.#starting = true;
    const chat = recall(sessionStorage, this.#memory);
    await this.#try("start", { chat }, (value) => batch(() => this.#started(value)));
    this.#starting = false;
    this.#pulseSoon();
  }

  #started({ models, chats, chat, sequence }) {
    this.models.value = models;
    this.chats.value = chats.items;
    this.moreChats.value = chats.next_cursor;
    this.draft.value = { ...this.draft.value, model: this.#firstModel() };
    if (chat) this.#snapshot(chat);
    this.comm.resume(sequence);
    this.loading.value = false;
    this.away.value = false;
  }

  #firstModel() {
    if (this.wanted) return this.wanted;
    const models = this.models.value;
    const last = recall(localStorage, "llmws.model");
    const ready = models.filter((model) => model.state === "ready" && model.id !== "echo");
    return (models.find((model) => model.id === last) ?? ready[0] ?? models[0])?.id ?? null;
  }

  /** Show a snapshot. Known messages stay the same row, so that nothing flickers; what could not be sent stays, too. */
  #snapshot({ chat, messages, next_cursor }) {
    const known = new Map(this.rows.value.map((row) => [row.id, row]));
    const unsent = this.rows.value.filter((row) => !row.id);
    this.open.value = chat;
    this.earlier.value = next_cursor;
    const stored = messages.map((item) => {
      const row = known.get(item.id);
      if (!row) return newRow(item);
      row.message.value = item.message;
      return row;
    });
    this.rows.value = [...stored, ...unsent];
    this.#know(chat);
    remember(sessionStorage, this.#memory, chat.id);
  }

  async #show(id) {
    const place = this.place.value;
    await this.#try("show", { id }, ({ sequence, ...snapshot }) =>
      batch(() => {
        this.comm.resume(sequence);
        if (place === this.place.value && snapshot.chat) this.#snapshot(snapshot);
        this.loading.value = false;
      }),
    );
  }

  show(id) {
    if (id === this.open.value?.id) return;
    batch(() => {
      this.place.value++;
      this.rows.value = [];
      this.earlier.value = null;
      this.loading.value = true;
      this.open.value = this.chats.value.find((chat) => chat.id === id) ?? null;
    });
    this.#show(id);
  }

  startNew() {
    const left = this.open.value;
    batch(() => {
      this.place.value++;
      this.draft.value = { model: this.modelId.value ?? this.#firstModel(), parameters: {}, system: "" };
      this.open.value = null;
      this.rows.value = [];
      this.earlier.value = null;
      this.loading.value = false;
    });
    remember(sessionStorage, this.#memory, null);
    if (left) this.#try("show", { id: null });
  }

  async showEarlier() {
    const { place, earlier } = this;
    const values = { id: this.open.value.id, cursor: earlier.value };
    const at = place.value;
    await this.#try("earlier", values, ({ messages, next_cursor }) => {
      if (at !== place.value) return;
      this.rows.value = [...messages.map(newRow), ...this.rows.value];
      earlier.value = next_cursor;
    });
  }

  async search(query) {
    this.query.value = query;
    await this.#try("find", { query }, (page) => {
      if (query !== this.query.value) return;
      this.chats.value = page.items;
      this.moreChats.value = page.next_cursor;
    });
  }

  async showMoreChats() {
    const { query, moreChats } = this;
    await this.#try("find", { query: query.value, cursor: moreChats.value }, ({ items, next_cursor }) => {
      const known = new Set(this.chats.value.map((chat) => chat.id));
      this.chats.value = [...this.chats.value, ...items.filter((chat) => !known.has(chat.id))];
      moreChats.value = next_cursor;
    });
  }

  // Doing

  /** Send `text`; a repeated `key` is the same message, so that it is never asked twice. */
  async send(text, key = randomId()) {
    const place = this.place.value;
    const { id = null } = this.open.value ?? {};
    const { parameters, system } = this.settings.value;
    const model = this.modelId.value;
    const asked = newRow({ message: { role: "user", parts: [{ type: "text", text }] } });
    const answer = newRow({ message: { role: "assistant", model } });
    this.rows.value = [...this.rows.value, asked, answer];
    const apply = ({ chat, items }) =>
      batch(() => {
        this.#know(chat);
        if (place !== this.place.value) return;
        for (const [row, item] of [
          [asked, items[0]],
          [answer, items[1]],
        ]) {
          Object.assign(row, { id: item.id, generation: item.generation_id, at: item.created_at });
          row.message.value = item.message;
        }
        // A snapshot may have brought them meanwhile.
        const twice = (row) => row !== asked && row !== answer && (row.id === asked.id || row.id === answer.id);
        this.rows.value = this.rows.value.filter((row) => !twice(row));
        this.open.value = chat;
        remember(sessionStorage, this.#memory, chat.id);
        if (answer.stopped) this.stop();
      });
    try {
      await this.comm.call("say", { chat: id, text, key, model, parameters, system: system || null }, apply);
    } catch (error) {
      this.#noticeAway(error);
      answer.again = () => {
        this.rows.value = this.rows.value.filter((row) => row !== asked && row !== answer);
        this.send(text, key);
      };
      answer.message.value = { ...answer.message.value, error, finish_reason: "error" };
    }
  }

  /** What was asked before `row`, asked again. */
  retry(row) {
    if (row.again) return row.again();
    const before = this.rows.value.slice(0, this.rows.value.indexOf(row));
    const asked = before.findLast((one) => one.message.value.role === "user");
    if (asked) this.send(textOf(asked.message.value));
  }

  stop() {
    const row = this.rows.value.at(-1);
    if (row?.generation) this.#try("stop", { generation: row.generation });
    else if (row) row.stopped = true;
  }

  setModel(id) {
    remember(localStorage, "llmws.model", id);
    this.change({ model: id });
  }

  /** Change model, parameters or system prompt of what is shown. */
  change(values) {
    const chat = this.open.value;
    if (!chat) this.draft.value = { ...this.draft.value, ...values };
    else this.#change(chat, values);
  }

  startRenaming(chat, inHeader = false) {
    batch(() => {
      this.renaming.value = chat.id;
      this.renamingInHeader.value = inHeader;
    });
  }

  rename(chat, title) {
    this.renaming.value = null;
    if (title && title !== chat.title) this.#change(chat, { title });
  }

  async #change(chat, values) {
    this.#know({ ...chat, ...values });
    const done = await this.#try("change", { id: chat.id, ...values }, (changed) => this.#know(changed));
    if (!done) this.#know(chat);
  }

  async remove(chat) {
    this.#forget(chat.id);
    const done = await this.#try("delete", { id: chat.id });
    if (!done) return this.#restored(chat);
    const undo = () => this.#try("restore", { id: chat.id }, (restored) => this.#restored(restored));
    this.toast({ text: t("deleted", { title: chat.title || t("untitled") }), action: t("undo"), act: undo });
  }

  async download(format) {
    await this.#try("download", { id: this.open.value.id, format }, ({ path }) => saveFile(path));
  }

  // What comes in

  #fold({ streams }) {
    batch(() => {
      for (const [generation, events] of streams) {
        const row = this.rows.value.findLast((one) => one.generation === generation);
        // A finished one came whole from the store, and is only told again.
        if (isOpen(row)) row.message.value = events.reduce(fold, row.message.value);
        if (events.at(-1)?.type === "end") this.#ended(generation);
      }
    });
  }

  #ended(generation) {
    const chat = this.chats.value.find((one) => one.running === generation);
    if (chat) this.#know({ ...chat, running: null });
  }

  #append({ chat, items }) {
    this.#know(chat);
    if (chat.id !== this.open.value?.id) return;
    const known = new Set(this.rows.value.map((row) => row.id));
    this.rows.value = [...this.rows.value, ...items.filter((item) => !known.has(item.id)).map(newRow)];
  }

  /** Take in what is known of a chat now; the list is newest first. */
  #know(chat, listed = !this.query.value) {
    if (this.#gone.has(chat.id)) return;
    if (this.open.value?.id === chat.id) this.open.value = chat;
    const others = this.chats.value.filter((one) => one.id !== chat.id);
    if (!listed && others.length === this.chats.value.length) return;
    const place = others.findIndex((one) => one.updated_at < chat.updated_at);
    this.chats.value = others.toSpliced(place < 0 ? others.length : place, 0, chat);
  }

  #restored(chat) {
    this.#gone.delete(chat.id);
    this.#know(chat, true);
  }

  #forget(id) {
    this.#gone.add(id);
    this.chats.value = this.chats.value.filter((chat) => chat.id !== id);
    if (this.open.value?.id === id) this.startNew();
  }

  // The pulse: is the service there, did models come up, did another notebook say something?

  #wake = () => {
    if (!document.hidden) this.#pulse();
  };

  #pulseSoon() {
    clearTimeout(this.#timer);
    const impatient = this.away.value || this.models.value.some((model) => model.state === "starting");
    this.#timer = setTimeout(() => this.#pulse(), impatient ? IMPATIENT_PULSE_MS : PULSE_MS);
  }

  async #pulse() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    if (this.comm.lost && !this.#starting && !this.open.value) return this.start();
    try {
      await this.comm.call("pulse", {}, (value) => batch(() => this.#beat(value)));
    } catch (error) {
      this.#noticeAway(error);
    }
    this.#pulseSoon();
  }

  #beat({ models, chats }) {
    const missed = this.away.value;
    this.away.value = false;
    this.models.value = models;
    if (!this.modelId.value) this.draft.value = { ...this.draft.value, model: this.#firstModel() };
    if (!this.query.value) this.#refresh(chats);
    const id = this.open.value?.id;
    const running = chats.items.find((chat) => chat.id === id)?.running;
    const unseen = running && !this.rows.value.some((row) => row.generation === running);
    if (id && (missed || unseen || this.comm.lost)) this.#show(id);
    if (missed) this.toast({ text: t("back") });
  }

  #refresh({ items: read, next_cursor }) {
    const items = read.filter((chat) => !this.#gone.has(chat.id));
    const fresh = new Set(items.map((chat) => chat.id));
    const oldest = items.at(-1)?.updated_at ?? 0;
    const rest = next_cursor ? this.chats.value.filter((chat) => !fresh.has(chat.id) && chat.updated_at < oldest) : [];
    this.chats.value = [...items, ...rest];
    if (!rest.length) this.moreChats.value = next_cursor;
    const open = items.find((chat) => chat.id === this.open.value?.id);
    if (open) this.open.value = open;
  }

  // What goes wrong

  /** Ask Python; an error becomes a toast (or the banner), and false is returned. */
  async #try(intent, values, apply) {
    try {
      await this.comm.call(intent, values, apply);
      return true;
    } catch (error) {
      if (!this.#noticeAway(error)) {
        this.fail(error);
        this.loading.value = false;
      }
      return false;
    }
  }

  #noticeAway(error) {
    const away = error.code === "service";
    if (away && !this.away.value) {
      this.away.value = true;
      this.#pulseSoon();
    }
    return away;
  }

  fail(error) {
    this.toast({ text: error.message, remedy: error.remedy, bad: true });
  }

  toast(toast) {
    const shown = { ...toast, key: randomId() };
    this.toasts.value = [...this.toasts.value.slice(-2), shown];
    setTimeout(() => this.dismiss(shown), toast.bad ? 2 * TOAST_MS : TOAST_MS);
  }

  dismiss(toast) {
    this.toasts.value = this.toasts.value.filter((one) => one !== toast);
  }
}
