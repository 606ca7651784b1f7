/** How it stands with the functions that a model called: what Python tells of it, and what a person decides. */
import { signal } from "@preact/signals";
import { t } from "./input-strings.js";

export class ToolCalls {
  /** By the id of the message, then of the call: `{state, text, error, denied, known}`. */
  states = signal({});
  #page;

  constructor(page) {
    this.#page = page;
  }

  /** Take in how the calls of a message stand. */
  know(told) {
    if (told) this.states.value = { ...this.states.value, [told.message]: told.states };
  }

  /** How it stands with a call of `row`: by what the next message says, else by what Python told. */
  state(row, call, last) {
    const rows = this.#page.rows.value;
    const next = rows[rows.indexOf(row) + 1]?.message.value;
    const result = next?.role === "tool" && next.parts?.find((part) => part.data?.id === call.id);
    if (result) {
      const { is_error: error = false, denied = false } = result.data;
      return { state: "done", text: result.text ?? "", error, denied };
    }
    const waits = last && row.message.value.finish_reason === "tool_calls";
    if (!waits) return { state: row.message.value.finish_reason ? "unrun" : "written" };
    return this.states.value[row.id]?.[call.id] ?? { state: "waiting", known: true };
  }

  /** Whether all calls of `row` are done and the model has not been told: that broke off. */
  isHeld(row) {
    const states = Object.values(this.states.value[row.id] ?? {});
    return states.length > 0 && states.every(({ state }) => state === "done");
  }

  decide(row, { id, name = "", arguments: given = "" }, decision, apply) {
    const call = { id, name, arguments: given };
    return this.#page.attempt("decide", { chat: this.#page.open.value.id, message: row.id, call, decision }, apply);
  }

  /** Wait no longer for a call that runs; where its function goes on nevertheless, the person is told. */
  stop(row, call) {
    return this.decide(row, call, "stop", (goesOn) => goesOn && this.#page.toast({ text: t("tool_goes_on") }));
  }
}
