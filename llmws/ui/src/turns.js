/**
 * What a person does with what was said already: say it differently, have it answered again, go on, look at another
 * branch; and what the conversation came to.
 *
 * `page` is the state of the chat page. What is asked for is shown at once, in the place of what stood there; where it
 * cannot be, that comes back.
 */
import { batch, computed, signal } from "@preact/signals";
import { textOf } from "./messages.js";
import { randomId } from "./page.js";
import { newRow } from "./rows.js";

/** A model takes about so long for a title. */
const TITLE_MS = 3_000;

export class Turns {
  /** Counts what was asked on this page: whoever asks wants to see the answer. */
  asked = signal(0);
  /** The row that is being edited, and what its text is by now. */
  editing = signal(null);
  /** What the open conversation came to and how full its context is: `{id, totals, context}`. */
  figures = signal(null);
  /** The row that an arrow led to: `{id, step, top}`, where the arrow stood. */
  arrow = null;
  /** The generation that answers on another branch of the open conversation. */
  elsewhere = computed(() => {
    const id = this.#page.open.value?.running ?? null;
    const here = id && this.#page.rows.value.some((row) => row.generation === id);
    return here || this.#over.has(id) ? null : id;
  });
  #page;
  /** What was written in the place of a message and could not be said there, by its id. */
  #unsaid = new Map();
  /** The version that steps lead to. */
  #wanted = null;
  #over = new Set();

  constructor(page) {
    this.#page = page;
  }

  // Asking

  /** Begin to edit `row`; what could not be said there is there again. */
  startEditing(row) {
    this.editing.value = { row, text: this.#unsaid.get(row.id) ?? textOf(row.message.value) };
    this.#unsaid.delete(row.id);
  }

  /** Say `text` in the place of `row`. */
  async edit(row, text) {
    const place = this.#page.place.value;
    this.editing.value = null;
    const { parts = [] } = row.message.value;
    const said = [...parts.filter((part) => part.type !== "text"), { type: "text", text }];
    const fresh = [newRow({ message: { role: "user", parts: said } }), this.#answer(this.#page.modelId.value)];
    const done = await this.#begin(row, 0, fresh, "edit", { text, model: this.#page.modelId.value });
    if (done) return;
    if (place === this.#page.place.value) this.editing.value = { row, text };
    else this.#unsaid.set(row.id, text);
  }

  /** Another answer in the place of `row`; of the model that gave it, unless `model` shall. */
  regenerate(row, model = row.message.value.model) {
    return this.#begin(row, 0, [this.#answer(model)], "regenerate", { model });
  }

  /** The rest of an answer that was cut off. */
  resume(row) {
    const { model } = row.message.value;
    return this.#begin(row, 1, [this.#answer(model)], "resume", { model });
  }

  #answer(model) {
    return newRow({ message: { role: "assistant", model } });
  }

  /** Show `fresh` instead of all that follows `row` and `kept` of it, and ask for it; false where it cannot be. */
  async #begin(row, kept, fresh, intent, values) {
    const page = this.#page;
    const place = page.place.value;
    const before = page.rows.value;
    const asked = { chat: page.open.value.id, message: row.id, key: randomId(), ...values };
    page.rows.value = [...before.slice(0, before.indexOf(row) + kept), ...fresh];
    this.asked.value++;
    await page.changes.kept;
    const done = await page.attempt(intent, asked, (begun) => page.begun(place, fresh, begun));
    if (!done && place === page.place.value) page.rows.value = before;
    return done;
  }

  // Branches

  /**
   * Go to the version of `row` that is `step` from it, or from the one that earlier steps lead to; the arrow that was
   * pressed stays where it is.
   */
  async go(row, step, top) {
    const page = this.#page;
    const ids = row.siblings.value;
    const place = page.place.value;
    const id = ids[ids.indexOf(ids.includes(this.#wanted) ? this.#wanted : row.id) + step];
    if (!id) return;
    this.#wanted = id;
    const isWanted = () => this.#wanted === id && place === page.place.value;
    // What is asked right after it is asked there.
    await page.changes.after(() => isWanted() && this.show(id, { id, step, top }));
    if (this.#wanted === id) this.#wanted = null;
  }

  /** Go to the branch that a message of the open conversation is on. */
  async show(id, arrow = null) {
    const page = this.#page;
    const place = page.place.value;
    await page.attempt("select", { chat: page.open.value.id, message: id }, (snapshot) => {
      if (place !== page.place.value) return;
      this.arrow = arrow;
      page.take(snapshot);
    });
  }

  /** Go to the answer that is being written on another branch. */
  async showRunning() {
    const page = this.#page;
    const place = page.place.value;
    const generation = this.elsewhere.value;
    await page.attempt("written_by", { generation }, (id) => place === page.place.value && this.show(id));
  }

  // What leaves no history

  /** A temporary conversation that is left is gone, also for who looks at it in another tab. */
  leave(chat) {
    const page = this.#page;
    if (!chat?.temporary || page.library.isGone(chat.id)) return;
    page.library.forget(chat.id);
    page.attempt("delete", { id: chat.id });
  }

  /** Whether a model is asked for titles from now on. */
  async nameByModel(wanted) {
    await this.#page.attempt("titles", { wanted }, (told) => this.#page.sharing.knowMe(told));
  }

  // Figures

  know({ id, totals, context }) {
    if (totals && id === this.#page.open.value?.id) this.figures.value = { id, totals, context };
  }

  /** An answer has ended, here or on another branch; a title may follow the first. */
  ended(generation) {
    const page = this.#page;
    this.#over.add(generation);
    if (page.open.value?.running !== generation) return;
    const { id, automatic_title: automatic } = page.open.value;
    this.#look(id);
    if (automatic && page.rows.value.length === 2) setTimeout(() => this.#look(id), TITLE_MS);
  }

  /** Nobody waits for it: where it fails, the next answer's end asks again. */
  async #look(id) {
    const page = this.#page;
    if (id !== page.open.value?.id) return;
    const asked = performance.now();
    try {
      await page.comm.call("about", { id }, (chat) => batch(() => page.know(page.latest(chat, asked))));
    } catch (error) {
      page.noticeAway(error);
    }
  }
}
