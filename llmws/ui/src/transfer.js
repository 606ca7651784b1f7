/**
 * Whole conversations out of the workspace and into it: what is asked for, how far it is, what became of each.
 *
 * A file goes through the door in pieces, so that a connection that breaks costs one of them; the service reads it.
 */
import { signal } from "@preact/signals";
import { doorUrl, randomId, saveFile } from "./page.js";
import { language } from "./strings.js";

const PIECE = 4 * 2 ** 20;
/** A ticket lives for ten minutes. */
const TICKET_MS = 9 * 60_000;
const AGAIN_MS = 1_500;
const LOOK_MS = [100, 1_000];
/** What a person wants to see first of a report. */
const OUTCOMES = ["refused", "imported", "updated"];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Transfer {
  /** The sheet that is open: "export", "import", or null. */
  sheet = signal(null);
  /** The import that is shown, as the service tells of it; null before there is one. */
  shown = signal(null);
  /** What went wrong before there was an import; whether the connection broke. */
  error = signal(null);
  broken = signal(false);
  /** Of the report: which outcome is shown, its records, where they go on. */
  outcome = signal(null);
  records = signal([]);
  more = signal(null);
  #page;
  #ticket = null;
  #run = 0;
  #asked = 0;

  constructor(page) {
    this.#page = page;
  }

  close() {
    this.sheet.value = null;
  }

  async save(format, id) {
    const values = { format, id, language: language.value };
    // With what was just changed.
    await this.#page.changes.kept;
    await this.#page.attempt("download", values, ({ path }) => saveFile(path));
  }

  /** Show the sheet, with the import that is going on, also where another tab or an earlier visit began it. */
  async openImport() {
    this.sheet.value = "import";
    if (this.shown.value) return;
    const run = this.#run;
    const known = await this.#known();
    const reading = known.find((one) => one.state === "reading");
    // A file may have been chosen meanwhile.
    if (reading && run === this.#run) this.#follow(reading, ++this.#run);
  }

  /** Make room for another file. */
  again() {
    this.#run++;
    this.shown.value = this.error.value = this.outcome.value = null;
    this.broken.value = false;
  }

  async choose(file) {
    this.again();
    const run = this.#run;
    try {
      const { name, size } = file;
      // One that was broken off goes on where it stopped.
      const begun = (await this.#known()).find(
        (one) => one.state === "uploading" && one.name === name && one.bytes === size,
      );
      let told =
        begun ?? (await this.#page.comm.call("begin_import", { name: name.slice(-255), size, key: randomId() }));
      while (told.state === "uploading" && run === this.#run) {
        this.shown.value = told;
        told = await this.#send(file, told);
      }
      await this.#follow(told, run);
    } catch (error) {
      if (run !== this.#run) return;
      this.shown.value = null;
      this.error.value = error;
    }
  }

  async cancel() {
    const { id } = this.shown.value;
    this.again();
    await this.#page.attempt("cancel_import", { id });
    this.#page.pulse();
  }

  /** Show the conversations that ended so, once they are read: what is about to be pressed stays where it is. */
  async report(outcome, cursor = null) {
    const { id } = this.shown.value;
    const asked = ++this.#asked;
    await this.#page.attempt("import_records", { id, outcome, cursor }, ({ items, next_cursor }) => {
      // Another outcome was asked for since, or the same once more, or another file.
      if (asked !== this.#asked || id !== this.shown.value?.id) return;
      this.outcome.value = outcome;
      this.records.value = [...(cursor ? this.records.value : []), ...items];
      this.more.value = next_cursor;
    });
  }

  async #known() {
    return this.#page.comm.call("imports").catch(() => []);
  }

  async #send(file, told) {
    const { id, received } = told;
    try {
      const url = `${doorUrl(await this.#path())}&id=${id}&offset=${received}`;
      const reply = await fetch(url, { method: "POST", body: file.slice(received, received + PIECE) });
      const answer = await reply.json().catch(() => null);
      this.broken.value = false;
      if (reply.ok && answer) return answer;
      // Another tab was faster.
      if (answer?.error?.details?.received !== undefined) return { ...told, received: answer.error.details.received };
      if (reply.status === 403) this.#ticket = null;
      else if (reply.status < 500 || answer?.error) throw answer?.error ?? {};
    } catch (error) {
      if (error.message && !(error instanceof TypeError)) throw error;
    }
    this.broken.value = true;
    await pause(AGAIN_MS);
    return told;
  }

  async #follow(begun, run) {
    let told = begun;
    let [wait, longest] = LOOK_MS;
    while (run === this.#run) {
      this.shown.value = told;
      if (told.state === "ended") break;
      await pause(wait);
      wait = Math.min(wait * 1.5, longest);
      told = await this.#page.comm.call("show_import", { id: told.id }).catch((error) => {
        if (error.code === "not_found") throw error;
        return told;
      });
    }
    if (run !== this.#run) return;
    const first = OUTCOMES.find((outcome) => told[outcome]);
    if (first) this.report(first);
    this.#page.pulse();
  }

  async #path() {
    const now = performance.now();
    if (!this.#ticket || now > this.#ticket.until)
      this.#ticket = { until: now + TICKET_MS, path: this.#page.comm.call("send_import") };
    return this.#ticket.path;
  }
}
