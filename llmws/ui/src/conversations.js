/**
 * What the chat page knows, and all that a person can do on it. Components read the signals and call the methods.
 *
 * Python owns the truth: what is kept here is a snapshot with the deltas since, and what was typed but not yet sent.
 */
import { batch, computed, signal } from "@preact/signals";
import { Assistants } from "./assistants.js";
import { Attached } from "./attached.js";
import { Attachments, Pictures } from "./attachments.js";
import { Changes } from "./changes.js";
import { t } from "./chat-strings.js";
import { findNotebook } from "./insert-cell.js";
import { Library } from "./library.js";
import { typesetWith } from "./math.js";
import { fold, textOf } from "./messages.js";
import { copyText, randomId, recall, remember } from "./page.js";
import { Reader } from "./reader.js";
import { isOpen, newRow } from "./rows.js";
import { Sharing } from "./sharing.js";
import { ToolCalls } from "./tool-calls.js";
import { Transfer } from "./transfer.js";
import { Turns } from "./turns.js";

/** How many older messages are read at once on the way to one of them. */
const AT_ONCE = 200;

export class Conversations extends Attached {
  library = new Library(this);
  reader = new Reader();
  sharing = new Sharing(this);
  transfer = new Transfer(this);
  turns = new Turns(this);
  changes = new Changes(this);
  attachments = new Attachments(this);
  pictures = new Pictures((ids) => this.comm.call("pictures", { ids }));
  tools = new ToolCalls(this);
  models = signal([]);
  /** The chat that is shown; null is a new one that has not been sent. */
  open = signal(null);
  draft = signal({ model: null, parameters: {}, system: "" });
  rows = signal([]);
  earlier = signal(null);
  /** What lies over the page: "code", "shortcuts", or nothing. */
  sheet = signal(null);
  /** What counts as one place: it changes when another conversation is shown. */
  place = signal(0);

  running = computed(() => isOpen(this.rows.value.at(-1)) || this.turns.elsewhere.value !== null);
  modelId = computed(() => this.open.value?.model ?? this.draft.value.model);
  model = computed(() => this.models.value.find((model) => model.id === this.modelId.value) ?? null);
  settings = computed(() => this.open.value ?? this.draft.value);

  #memory;
  #shown = null;
  /** The rows that could not be sent where they were asked, by the id of that chat, until it is shown. */
  #unsent = new Map();
  /** What was last told of a chat by itself, and when, by its id. */
  #told = new Map();

  constructor(model) {
    super(model, {
      deltas: (message) => this.#fold(message),
      chat: ({ chat }) => {
        this.library.comeBack(chat.id);
        this.know(chat);
      },
      removed: ({ id }) => this.forget(id),
      folder: (message) => this.library.folderRenamed(message),
      appended: (message) => this.#append(message),
      branched: ({ id }) => id === this.open.value?.id && this.again(),
      calls: (message) => this.tools.know(message),
    });
    this.wanted = model.get("model");
    const assistant = model.get("assistant");
    // Of the chats that one notebook opens, with several models or assistants, each has what is its own.
    this.name = `${this.wanted} ${assistant}`;
    // A page that is run again, and every visit to a dashboard, is new to the kernel: this tab knows what it showed.
    this.#memory = `llmws.chat:${location.pathname} ${this.name}`;
    this.assistants = new Assistants(this);
    typesetWith(() => this.comm.call("typesetter"));
    findNotebook(model);
    this.start();
  }

  close() {
    super.close();
    this.attachments.close();
    this.pictures.close();
  }

  // Reading

  memory() {
    return { chat: recall(sessionStorage, this.#memory) };
  }

  started({ models, chats, chat, assistant }) {
    this.models.value = models;
    this.library.refresh(chats, 0);
    const drafted = this.draft.value;
    this.draft.value = { ...drafted, model: this.#firstModel() };
    // Who went to another conversation meanwhile stays there.
    const shows = chat && !this.place.value;
    if (shows) this.take(chat);
    else if (chat) this.again();
    const begins = assistant && !this.open.value;
    if (begins) this.assistants.begin(assistant);
    if (shows || begins) this.#setAgain(drafted);
    this.#readOthers();
  }

  /** Set for what is shown now what a person has set while it was not there yet. */
  #setAgain({ parameters, system }) {
    const set = { ...this.settings.value.parameters, ...parameters };
    if (Object.keys(parameters).length) this.change({ parameters: set });
    if (system) this.change({ system });
  }

  get impatient() {
    return this.models.value.some((model) => model.state === "starting");
  }

  get expecting() {
    return this.running.value;
  }

  again() {
    this.#show(this.open.value?.id ?? null);
  }

  beat({ models, chats }, asked) {
    this.models.value = models;
    if (!this.modelId.value) this.draft.value = { ...this.draft.value, model: this.#firstModel() };
    this.library.refresh(chats, asked);
    this.#readOthers();
    const { id } = this.open.value ?? {};
    const chat = chats.items.find((one) => one.id === id);
    if (chat) this.heard(this.latest(chat, asked));
    else if (id) this.#hear(id);
  }

  /** Ask for the open chat, which is in no list that was read: in a closed folder, archived, or old. */
  async #hear(id) {
    const asked = performance.now();
    const apply = (chat) => id === this.open.value?.id && this.heard(this.latest(chat, asked));
    try {
      await this.comm.call("about", { id }, (chat) => batch(() => apply(chat)));
    } catch (error) {
      // It may be deleted elsewhere; what it said stays to be read.
      this.noticeAway(error);
    }
  }

  /** The open chat, as a list tells it now. */
  heard(chat) {
    // Another notebook or dashboard said something in it.
    const said = chat.updated_at > this.open.value.updated_at;
    this.open.value = this.changes.over(chat);
    const unseen = chat.running && !this.rows.value.some((row) => row.generation === chat.running && isOpen(row));
    if (said || unseen) this.again();
  }

  /** What others share; nobody waits for it, and the next pulse asks again. */
  async #readOthers() {
    const asked = performance.now();
    const apply = (told) => {
      this.sharing.refresh(told, asked);
      this.assistants.refresh(told.assistants, asked);
    };
    try {
      await this.comm.call("others", {}, (told) => batch(() => apply(told)));
    } catch (error) {
      this.noticeAway(error);
    }
  }

  #firstModel() {
    if (this.wanted) return this.wanted;
    const models = this.models.value;
    const last = recall(localStorage, "llmws.model");
    const ready = models.filter((model) => model.state === "ready" && model.id !== "echo");
    return (models.find((model) => model.id === last) ?? ready[0] ?? models[0])?.id ?? null;
  }

  /**
   * Show a snapshot. Known messages stay the same row, so that nothing flickers; what was read above them stays, and what
   * could not be sent.
   */
  take({ chat, messages, next_cursor, calls }) {
    const before = this.rows.value;
    const known = new Map(before.map((row) => [row.id, row]));
    const unsent = before.filter((row) => !row.id);
    this.open.value = chat;
    const stored = messages.map((item) => {
      const row = known.get(item.id);
      if (!row) return newRow(item);
      row.message.value = item.message;
      row.siblings.value = item.siblings;
      return row;
    });
    const above = before.slice(0, Math.max(0, before.indexOf(stored[0]))).filter((row) => row.id);
    if (!above.length) this.earlier.value = next_cursor;
    this.rows.value = [...above, ...stored, ...unsent];
    this.tools.know(calls);
    this.know(chat);
    remember(sessionStorage, this.#memory, chat.id);
  }

  async #show(id) {
    const place = this.place.value;
    await this.attempt("show", { id }, (snapshot) => {
      this.comm.follow();
      if (place !== this.place.value) return;
      if (snapshot.chat) this.take(snapshot);
      this.loading.value = false;
    });
  }

  show(id) {
    if (id === this.open.value?.id) return;
    this.turns.leave(this.open.value);
    batch(() => {
      this.place.value++;
      this.rows.value = this.#takeUnsent(id);
      this.earlier.value = null;
      this.loading.value = true;
      this.open.value = this.library.find(id);
    });
    this.#shown = this.#show(id);
  }

  startNew() {
    const left = this.open.value;
    this.turns.leave(left);
    batch(() => {
      this.place.value++;
      this.draft.value = { model: this.modelId.value ?? this.#firstModel(), parameters: {}, system: "" };
      this.open.value = null;
      this.rows.value = this.#takeUnsent(null);
      this.earlier.value = null;
      this.loading.value = false;
    });
    remember(sessionStorage, this.#memory, null);
    if (left) this.attempt("show", { id: null });
  }

  /** Read older messages, `limit` at most; true where that worked. */
  async showEarlier(limit) {
    const { place, earlier } = this;
    const at = place.value;
    const cursor = earlier.value;
    return this.attempt("earlier", { id: this.open.value.id, cursor, limit }, ({ messages, next_cursor }) => {
      // Somebody else may have asked for the same.
      if (at !== place.value || cursor !== earlier.value) return;
      this.rows.value = [...messages.map(newRow), ...this.rows.value];
      earlier.value = next_cursor;
    });
  }

  /** Bring a message of the open conversation into view, also one that was not read yet, or is on another branch. */
  async showMessage(id) {
    const place = this.place.value;
    await this.#shown;
    const isThere = () => this.rows.value.some((row) => row.id === id);
    while (!isThere() && this.earlier.value && place === this.place.value)
      if (!(await this.showEarlier(AT_ONCE))) return;
    if (place !== this.place.value) return;
    if (!isThere()) await this.turns.show(id);
    if (place !== this.place.value) return;
    // Its place is made with the next frame.
    if (isThere()) requestAnimationFrame(() => this.reader.reveal(id));
  }

  // Doing

  /** Send `text` and what is `attached`; a repeated `key` is the same message, so that it is never asked twice. */
  async send(text, attached = [], key = randomId()) {
    const place = this.place.value;
    const { id = null } = this.open.value ?? {};
    const drafted = this.draft.value;
    const { parameters, system, assistant_id: assistant = null, temporary = false } = this.settings.value;
    const model = this.modelId.value;
    const parts = text ? [...attached, { type: "text", text }] : attached;
    const asked = newRow({ message: { role: "user", parts } });
    const answer = newRow({ message: { role: "assistant", model } });
    this.rows.value = [...this.rows.value, asked, answer];
    this.turns.asked.value++;
    try {
      const begun = id ? {} : { parameters, system: system || (assistant && ""), assistant, temporary };
      const attachments = attached.map(({ type, data }) => ({ type, id: data.attachment }));
      const values = { chat: id, text, key, model, attachments, ...begun };
      await this.changes.kept;
      await this.comm.call("say", values, (told) => this.begun(place, [asked, answer], told));
      // What was set before there was a conversation.
      if (!id && place === this.place.value && drafted !== this.draft.value) this.#keep(this.draft.value);
    } catch (error) {
      this.noticeAway(error);
      answer.again = () => {
        this.rows.value = this.rows.value.filter((row) => row !== asked && row !== answer);
        this.send(text, attached, key);
      };
      answer.message.value = { ...answer.message.value, error, finish_reason: "error" };
      if (place !== this.place.value) this.#keepUnsent(id, [asked, answer], error);
    }
  }

  /** Who has gone to another place finds what could not be sent where it was asked, and learns of it. */
  #keepUnsent(id, sent, { message, remedy }) {
    if (this.library.isGone(id)) return;
    this.#unsent.set(id, [...(this.#unsent.get(id) ?? []), ...sent]);
    const here = () => id === (this.open.value?.id ?? null) && !this.sharing.reading.value;
    const show = () => {
      if (here()) this.rows.value = [...this.rows.value, ...this.#takeUnsent(id)];
      else if (id) this.show(id);
      else this.startNew();
    };
    if (here()) show();
    else this.toast({ text: message, remedy, bad: true, action: t("unsent_show"), act: show });
  }

  #takeUnsent(id) {
    const unsent = this.#unsent.get(id) ?? [];
    this.#unsent.delete(id);
    return unsent;
  }

  /** An answer that was asked for here begins, in the rows that were `sent`. */
  begun(place, sent, { chat, items }) {
    batch(() => {
      this.know(chat);
      if (place !== this.place.value) return this.#leftBehind(chat);
      this.#arrived(sent, items);
      this.open.value = this.changes.over(chat);
      remember(sessionStorage, this.#memory, chat.id);
      if (sent.at(-1).stopped) this.stop();
    });
  }

  /** The person went elsewhere before `chat` began, which is the one that is shown for Python. */
  #leftBehind(chat) {
    this.turns.leave(chat);
    this.again();
  }

  /** What was shown before it was sent is in the store now, each of `sent` as the item of the same place. */
  #arrived(sent, items) {
    const rows = this.rows.value;
    // A snapshot may have brought them meanwhile; what it says, with the deltas since, is newer.
    const brought = new Map(rows.map((row) => [row.id, row]));
    const stored = new Set(items.map((item) => item.id));
    // One that came just before shows another branch below what they answer.
    const [{ id: first, parent_id: parent }] = items;
    const isOther = !brought.has(first) && (!parent || brought.has(parent));
    const last = isOther ? this.#placeOf(parent) : rows.length;
    const stands = (row, index) => !row.id || (index <= last && !stored.has(row.id));
    this.rows.value = rows.filter((row, index) => sent.includes(row) || stands(row, index));
    sent.forEach((row, index) => {
      const { id, generation_id: generation, created_at: at, siblings, message } = items[index];
      const newer = brought.get(id);
      Object.assign(row, { id, generation, at });
      row.message.value = newer?.message.value ?? message;
      row.siblings.value = newer?.siblings.value ?? siblings;
    });
  }

  /** Where a message stands that others answer; before the first where there is none. */
  #placeOf(parent) {
    return this.rows.value.findIndex((row) => row.id && row.id === parent);
  }

  /** An answer that failed, asked for again: of the model that is chosen now. */
  retry(row) {
    if (row.again) return row.again();
    this.turns.regenerate(row, this.modelId.value);
  }

  stop() {
    const row = this.rows.value.at(-1);
    const generation = isOpen(row) ? row.generation : this.turns.elsewhere.value;
    if (generation) this.attempt("stop", { generation });
    else if (row) row.stopped = true;
  }

  async copyLast() {
    const said = this.rows.value.map((row) => row.message.value);
    const text = textOf(said.findLast((message) => message.role === "assistant" && textOf(message)) ?? {});
    if (!text) return;
    await copyText(text);
    this.toast({ text: t("copied_last") });
  }

  setModel(id) {
    remember(localStorage, "llmws.model", id);
    this.change({ model: id });
  }

  /** Change model, parameters or system prompt of what is shown. */
  change(values) {
    const chat = this.open.value;
    if (!chat) this.draft.value = { ...this.draft.value, ...values };
    else this.changes.make(chat, "change", values);
  }

  #keep({ model, parameters, system }) {
    this.change({ model, parameters, system });
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
    const open = this.open.value?.running === generation ? this.open.value : null;
    const chat = open ?? this.library.answering(generation);
    this.turns.ended(generation);
    if (chat) this.know({ ...chat, running: null });
  }

  /** Another tab asked. What it said goes below what it answers; what stood there is on another branch now. */
  #append({ chat, items }) {
    this.know(chat);
    const rows = this.rows.value;
    const known = new Set(rows.map((row) => row.id));
    if (chat.id !== this.open.value?.id || items.every((item) => known.has(item.id))) return;
    const [{ parent_id: parent }] = items;
    if (parent && !known.has(parent)) return this.again();
    const above = rows.slice(0, this.#placeOf(parent) + 1);
    this.rows.value = [...above, ...items.map(newRow), ...rows.filter((row) => !row.id)];
    if (!parent) this.earlier.value = null;
  }

  /** Take in what is known of a chat now. */
  know(heard) {
    if (this.library.isGone(heard.id)) return;
    const chat = this.changes.over(heard);
    this.#told.set(heard.id, { chat: heard, at: performance.now() });
    this.turns.know(chat);
    if (this.open.value?.id === chat.id) this.open.value = chat;
    if (!chat.temporary) this.library.know(chat);
  }

  /** `chat` as it was read by who `asked` at a time, and as it was told of since: what it came to is only read. */
  latest(chat, asked) {
    const told = this.#told.get(chat.id);
    if (!told || told.at < asked) return chat;
    const { totals, context } = chat;
    return { ...chat, ...told.chat, totals, context };
  }

  /** A chat was deleted, here or elsewhere. */
  forget(id) {
    this.library.forget(id);
    if (this.open.value?.id === id) this.startNew();
  }
}
