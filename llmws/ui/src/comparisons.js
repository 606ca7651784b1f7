/**
 * What the compare page knows, and all that a person can do on it. Components read the signals and call the methods.
 *
 * Each column is an answer of its own: what one does changes its signal only.
 */
import { batch, computed, signal } from "@preact/signals";
import { Attached } from "./attached.js";
import { findNotebook } from "./insert-cell.js";
import { typesetWith } from "./math.js";
import { fold } from "./messages.js";
import { randomId, recall, remember } from "./page.js";
import { Told } from "./told.js";

const LAST = "llmws.compared";

const newestFirst = (one, other) => other.created_at - one.created_at;

let columns = 0;

function newColumn({ model, generation_id = null, error = null, message = null }) {
  const failed = error && !message ? { role: "assistant", model, error, finish_reason: "error" } : null;
  const said = signal(failed ?? message ?? { role: "assistant", model });
  return { key: ++columns, model, generation: generation_id, message: said };
}

const isOpen = (column) => !column.message.value.finish_reason;

export class Comparisons extends Attached {
  models = signal([]);
  earlier = signal([]);
  moreEarlier = signal(null);
  /** The comparison that is shown; null is a new one. */
  open = signal(null);
  columns = signal([]);
  /** The ids that are asked next; one may stand there twice. */
  chosen = signal([]);
  settings = signal({ parameters: {}, system: "" });
  /** What could not be asked goes back to where it was written. */
  returned = signal("");
  place = signal(0);

  running = computed(() => this.columns.value.some(isOpen));
  ready = computed(() => this.chosen.value.length > 1 && !this.running.value && !this.loading.value);

  #memory;
  #told = new Told();

  constructor(model) {
    super(model, {
      deltas: (message) => this.#fold(message),
      // Another tab asked: what it shows is this page's business, too.
      asked: ({ comparison }) => batch(() => this.#list(comparison)),
    });
    this.wanted = model.get("models");
    this.#memory = `llmws.comparison:${location.pathname}`;
    typesetWith(() => this.comm.call("typesetter"));
    findNotebook(model);
    this.start();
  }

  // Reading

  memory() {
    return { comparison: recall(sessionStorage, this.#memory) };
  }

  started({ models, earlier, comparison }) {
    this.beat({ models, earlier }, 0);
    // Who began a new one meanwhile stays there.
    if (comparison && this.place.value) this.again();
    else if (comparison) {
      this.#snapshot(comparison);
      this.chosen.value = comparison.models;
    }
    if (!this.chosen.value.length) this.chosen.value = this.#first();
  }

  /** The models of the notebook's call, else those of last time, else the first that are ready. */
  #first() {
    const known = (ids) => ids.filter((id) => this.models.value.some((model) => model.id === id));
    const last = known((recall(localStorage, LAST) ?? "").split("\n"));
    const ready = this.models.value.filter((model) => model.state !== "unavailable").map((model) => model.id);
    // A provider may know models that it does not list.
    return [this.wanted, last, ready.slice(0, 2)].find((ids) => ids.length) ?? [];
  }

  beat({ models, earlier }, asked) {
    this.models.value = models;
    const items = this.#told.over(earlier.items, asked).sort(newestFirst);
    const fresh = new Set(items.map((one) => one.id));
    const oldest = earlier.items.at(-1)?.created_at ?? 0;
    const rest = earlier.next_cursor
      ? this.earlier.value.filter((one) => !fresh.has(one.id) && one.created_at < oldest)
      : [];
    this.earlier.value = [...items, ...rest];
    if (!rest.length) this.moreEarlier.value = earlier.next_cursor;
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

  async #show(id) {
    const place = this.place.value;
    await this.attempt("show", { id }, ({ comparison }) => {
      this.comm.follow();
      if (place !== this.place.value) return;
      this.loading.value = false;
      if (comparison) this.#snapshot(comparison);
    });
  }

  /** Show one of the earlier; its models are asked next. */
  show(id) {
    if (id === this.open.value?.id) return;
    const comparison = this.earlier.value.find((one) => one.id === id);
    batch(() => {
      this.place.value++;
      this.columns.value = [];
      this.open.value = comparison;
      this.chosen.value = comparison.models;
      this.loading.value = true;
    });
    this.#show(id);
  }

  startNew() {
    const left = this.open.value;
    batch(() => {
      this.place.value++;
      this.open.value = null;
      this.columns.value = [];
      this.loading.value = false;
    });
    remember(sessionStorage, this.#memory, null);
    if (left) this.attempt("show", { id: null }, () => this.comm.follow());
  }

  /** Show a comparison. An answer that is on the page already stays the same column, so that nothing flickers. */
  #snapshot(comparison) {
    const known = new Map(this.columns.value.filter((one) => one.generation).map((one) => [one.generation, one]));
    this.columns.value = comparison.items.map((item) => {
      const column = known.get(item.generation_id);
      if (!column) return newColumn(item);
      if (item.message) column.message.value = item.message;
      return column;
    });
    this.open.value = comparison;
    this.#list(comparison);
    remember(sessionStorage, this.#memory, comparison.id);
  }

  #list(comparison) {
    if (this.earlier.value.some((one) => one.id === comparison.id)) return;
    this.#told.know(comparison.id, comparison);
    this.earlier.value = [comparison, ...this.earlier.value].sort(newestFirst);
  }

  async showMore() {
    await this.attempt("more", { cursor: this.moreEarlier.value }, ({ items, next_cursor }) => {
      const known = new Set(this.earlier.value.map((one) => one.id));
      this.earlier.value = [...this.earlier.value, ...items.filter((one) => !known.has(one.id))];
      this.moreEarlier.value = next_cursor;
    });
  }

  #fold({ streams }) {
    batch(() => {
      for (const [generation, events] of streams) {
        const column = this.columns.value.find((one) => one.generation === generation);
        // A finished one came whole from the store, and is only told again.
        if (column && isOpen(column)) column.message.value = events.reduce(fold, column.message.value);
      }
    });
  }

  // Doing

  nameOf(id) {
    return this.models.value.find((model) => model.id === id)?.name || id;
  }

  add(id) {
    this.#choose([...this.chosen.value, id]);
  }

  remove(index) {
    this.#choose(this.chosen.value.toSpliced(index, 1));
  }

  #choose(ids) {
    this.chosen.value = ids;
    remember(localStorage, LAST, ids.join("\n"));
  }

  change(values) {
    this.settings.value = { ...this.settings.value, ...values };
  }

  async send(text, key = randomId()) {
    const models = this.chosen.value;
    const { parameters, system } = this.settings.value;
    const before = { open: this.open.value, columns: this.columns.value };
    batch(() => {
      this.place.value++;
      this.open.value = { id: null, prompt: text };
      this.columns.value = models.map((model) => newColumn({ model }));
    });
    const place = this.place.value;
    const asked = await this.attempt(
      "ask",
      { prompt: text, models, key, parameters, system: system || null },
      ({ comparison }) => {
        this.comm.follow();
        this.#list(comparison);
        // For Python it is the one that is shown.
        if (place !== this.place.value) return this.again();
        const { stopped } = this.open.value;
        this.#snapshot(comparison);
        if (stopped) this.stopAll();
      },
    );
    if (asked) return;
    batch(() => {
      if (place === this.place.value) {
        this.open.value = before.open;
        this.columns.value = before.columns;
      }
      this.returned.value = text;
    });
  }

  stop(column) {
    if (column.generation) this.attempt("stop", { generation: column.generation });
  }

  stopAll() {
    const { open } = this;
    if (open.value.id) this.attempt("stop_all", { id: open.value.id });
    else open.value = { ...open.value, stopped: true };
  }
}
