/**
 * What every page knows of its Python half: is it there, what went wrong, what did somebody else do meanwhile.
 *
 * A page's state extends this class. It says what a fresh tab needs (`memory`, `started`) and what is new every few
 * seconds (`beat`); asking, retrying and telling of errors are done here.
 */
import { batch, signal } from "@preact/signals";
import { connect, randomId } from "./page.js";
import { translateWith } from "./said.js";
import { t } from "./strings.js";

const PULSE_MS = 15_000;
const IMPATIENT_PULSE_MS = 1_500;
/** How long what is expected may be silent before it is asked for: it may have been lost on its way. */
const SILENT_PULSE_MS = 4_000;

export class Attached {
  away = signal(false);
  loading = signal(true);
  toasts = signal([]);
  #timer = 0;
  #pulsed = 0;
  #heard = 0;
  #asked = false;
  #starting = false;
  #known = false;

  constructor(model, handlers) {
    this.comm = connect(model, {
      refused: ({ error }) => this.noticeAway(error) || this.fail(error),
      // What takes long may wait for a service that is away: ask at once.
      slow: (intent) => intent !== "pulse" && this.pulse(),
      gap: () => this.again(),
      heard: () => {
        this.#heard = performance.now();
        if (this.expecting) this.#pulseSoon();
      },
      ...handlers,
    });
    this.silent = this.comm.silent;
    translateWith(() => this.comm.call("chinese"));
    document.addEventListener("visibilitychange", this.#wake);
  }

  close() {
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#wake);
    this.comm.close();
  }

  // What a page says of itself

  /** What the intent `start` takes: what this tab showed before it was reloaded. */
  memory() {
    return {};
  }

  /** Take in all that a fresh tab needs. */
  started(_value) {}

  /** Take in what is new, as it was when it was `asked` for or since then. */
  beat(_value, _asked) {}

  /** Get a snapshot of what is shown: deltas were missed. */
  again() {}

  /** Whether something is about to change by itself. */
  get impatient() {
    return false;
  }

  /** Whether deltas will come. */
  get expecting() {
    return false;
  }

  // Asking

  async start() {
    this.#starting = true;
    this.#pulsed = performance.now();
    await this.attempt("start", this.memory(), (value) => {
      this.#known = true;
      this.started(value);
      this.comm.follow();
      this.loading.value = this.away.value = false;
    });
    this.#starting = false;
    this.#pulseSoon();
  }

  /** Ask Python; an error becomes a toast (or the banner), and false is returned. */
  async attempt(intent, values, apply) {
    try {
      await this.comm.call(intent, values, apply && ((value) => batch(() => apply(value))));
      return true;
    } catch (error) {
      if (!this.noticeAway(error)) {
        this.fail(error);
        this.loading.value = false;
      }
      return false;
    }
  }

  #wake = () => {
    if (!document.hidden) this.pulse();
  };

  #pulseSoon() {
    clearTimeout(this.#timer);
    const soon = !this.#asked && (this.away.value || this.impatient);
    const due = this.#pulsed + (soon ? IMPATIENT_PULSE_MS : PULSE_MS);
    const silent = Math.max(this.#pulsed, this.#heard) + SILENT_PULSE_MS;
    const at = this.expecting ? Math.min(due, silent) : due;
    this.#timer = setTimeout(() => this.pulse(), Math.max(0, at - performance.now()));
  }

  async pulse() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    if (!this.#known && !this.#starting) return this.start();
    const asked = performance.now();
    this.#pulsed = asked;
    this.#asked = true;
    // The next one comes even where this one is never answered.
    this.#pulseSoon();
    try {
      await this.comm.call("pulse", {}, (value) => batch(() => this.#beat(value, asked)));
    } catch (error) {
      this.noticeAway(error);
    }
    this.#asked = false;
    this.#pulseSoon();
  }

  #beat(value, asked) {
    const missed = this.away.value;
    this.away.value = false;
    this.beat(value, asked);
    if (missed || this.comm.lost) this.again();
    if (missed) this.toast({ text: t("back") });
  }

  // What goes wrong

  noticeAway(error) {
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
    this.toasts.value = [...this.toasts.value.slice(-2), { ...toast, key: randomId() }];
  }

  dismiss(toast) {
    this.toasts.value = this.toasts.value.filter((one) => one !== toast);
  }
}
