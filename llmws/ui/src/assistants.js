/**
 * The assistants that a conversation can be begun with: chosen, made of the present settings, changed, deleted, restored.
 *
 * `page` is the state of the chat page, whose draft they fill.
 */
import { computed, signal } from "@preact/signals";
import { randomId } from "./page.js";
import { t } from "./sharing-strings.js";
import { Told } from "./told.js";

const byName = (one, other) => one.name.localeCompare(other.name);

export class Assistants {
  all = signal([]);
  /** What the dialog edits, without an `id` where it is new; or null. */
  editing = signal(null);
  #page;
  #told = new Told();

  /** The one that a conversation is about to begin with, or was begun with. */
  chosen = computed(() => {
    const { assistant_id } = this.#page.settings.value;
    return this.all.value.find((one) => one.id === assistant_id) ?? null;
  });

  constructor(page) {
    this.#page = page;
  }

  /** Take in all, as they were read by who `asked` at a time. */
  refresh(all, asked) {
    this.all.value = this.#told.over(all, asked).sort(byName);
  }

  /** The page was opened with this one. */
  begin(assistant) {
    this.#know(assistant);
    this.choose(assistant);
  }

  /** Begin the next conversation with it, or with none. */
  choose(assistant) {
    if (this.#page.open.value) this.#page.startNew();
    const { id = null, model, system = "", parameters = {} } = assistant ?? {};
    this.#page.change({ assistant_id: id, ...(model && { model }), system, parameters });
  }

  /** Edit one, or a new one of what is set now. */
  edit(assistant) {
    const { system, parameters } = this.#page.settings.value;
    const now = { name: "", description: "", model: this.#page.modelId.value, system: system ?? "", parameters };
    this.editing.value = assistant ?? { ...now, key: randomId() };
  }

  /** Keep what was edited; what goes wrong is returned. */
  async save({ id, key, name, description, model, system, parameters }) {
    const values = { name, description, model, system, parameters: given(parameters) };
    const edited = this.editing.value;
    try {
      const intent = id ? "change_assistant" : "make_assistant";
      const saved = await this.#page.comm.call(intent, { ...values, ...(id ? { id } : { key }) });
      this.#know(saved);
      // Another may be edited by now.
      if (this.editing.value === edited) this.editing.value = null;
      if (!id) this.#page.toast({ text: t("assistant_saved", { name }) });
      return null;
    } catch (problem) {
      return problem;
    }
  }

  async remove(assistant) {
    this.#told.expect(assistant.id, null);
    this.all.value = this.all.value.filter((one) => one.id !== assistant.id);
    const back = (restored) => this.#know(restored);
    if (!(await this.#page.attempt("delete_assistant", { id: assistant.id }))) return back(assistant);
    this.#told.know(assistant.id, null);
    const act = () => this.#page.attempt("restore_assistant", { id: assistant.id }, back);
    this.#page.toast({ text: t("assistant_deleted", { name: assistant.name }), action: t("undo"), act });
  }

  #know(assistant) {
    this.#told.know(assistant.id, assistant);
    const others = this.all.value.filter((one) => one.id !== assistant.id);
    this.all.value = [...others, assistant].sort(byName);
  }
}

/** Parameters without those that are left to the model. */
export const given = (parameters) =>
  Object.fromEntries(Object.entries(parameters ?? {}).filter(([, value]) => value != null));
