/**
 * What the fine-tune page knows, and all that a person can do on it. Components read the signals and call the methods.
 *
 * Python owns the truth: what is kept here is a snapshot of the run that is shown, with the deltas since, and what was
 * chosen for the next one.
 */
import { batch, computed, signal } from "@preact/signals";
import { Attached } from "./attached.js";
import { Curve } from "./curve.js";
import { keepDraft, takeDraft } from "./draft.js";
import { randomId, recall, remember } from "./page.js";
import { read } from "./recipe.js";
import { said } from "./said.js";
import { t } from "./strings.js";
import { Told } from "./told.js";

/** As much of the log as is kept on the page; all of it stands in the run's folder. */
const LOG_CHARACTERS = 200_000;

const newestFirst = (one, other) => other.created_at - one.created_at;

export const isLive = (job) => job.ended_at == null;

/** What to call the state: a run that was told to stop goes on for a moment. */
export const stateOf = (job) => (isLive(job) && job.intent === "stop" ? "stopping" : job.state);

export class FineTunes extends Attached {
  form = signal(null);
  environment = signal(null);
  jobs = signal([]);
  moreJobs = signal(null);

  /** What was chosen for the next run: `values` as they are written in the fields, by name. */
  draft = signal({ dataset: null, base: null, preset: null, values: {} });
  /** What is wrong with it, as the service said, by field; `""` is about no field. */
  refusals = signal({});
  beginning = signal(false);

  /** The run that is shown; null is the form. */
  open = signal(null);
  figures = signal({});
  history = signal([]);
  log = signal("");
  curve = signal(new Curve());
  version = signal(0);
  serving = signal(new Set());
  place = signal(0);
  /** The id of the chat page that stands over the run. */
  talk = signal(null);

  /** The recipe that the fields give, and what is wrong with them. */
  recipe = computed(() => read(this.form.value?.fields ?? [], this.draft.value.values));
  dataset = computed(() => this.form.value?.datasets.find((one) => one.name === this.draft.value.dataset) ?? null);

  #memory;
  #key = randomId();
  /** The draft that nobody has changed since it was offered, or since a run of it began. */
  #offered = this.draft.value;
  #leaveDraft;
  #told = new Told();

  constructor(model) {
    super(model, {
      deltas: (message) => this.#foldAll(message),
      job: ({ job }) => batch(() => this.#know(job)),
      removed: ({ id }) => this.#forget(id),
      serving: (message) => this.#served(message),
    });
    this.model = model;
    this.#memory = `llmws.job:${location.pathname}`;
    this.#leaveDraft = keepDraft(
      this.#name,
      () => this.draft.value !== this.#offered && JSON.stringify(this.draft.value),
    );
    this.start();
  }

  close() {
    super.close();
    this.#leaveDraft();
  }

  /** A cell that asks for other data or another base by now shows another form. */
  get #name() {
    return `recipe ${this.model.get("dataset")} ${this.model.get("base")}`;
  }

  // Reading

  memory() {
    return { job: recall(sessionStorage, this.#memory) };
  }

  started({ form, run, ...now }) {
    this.form.value = form;
    this.beat(now, 0);
    this.#offer();
    if (!run) return;
    // Who went elsewhere meanwhile stays there.
    if (this.place.value) this.again();
    else this.#snapshot(run);
  }

  /** Begin with what the notebook asks for, or with what was made of it in the view that stood here before. */
  #offer() {
    const { datasets, bases, presets } = this.form.value;
    const known = (items, key, id) => items.find((item) => item[key] === id && !item.problem)?.[key];
    this.#offered = {
      dataset: known(datasets, "name", this.model.get("dataset")) ?? datasets.find((one) => !one.problem)?.name ?? null,
      base: known(bases, "id", this.model.get("base")) ?? bases[0]?.id ?? null,
      ...this.#fromPreset(presets[0]),
    };
    const begun = JSON.parse(takeDraft(this.#name));
    if (!begun) this.draft.value = this.#offered;
    else
      this.draft.value = {
        ...begun,
        dataset: known(datasets, "name", begun.dataset) ?? this.#offered.dataset,
        base: known(bases, "id", begun.base) ?? this.#offered.base,
      };
  }

  beat({ environment, jobs }, asked) {
    this.environment.value = environment;
    const items = this.#told.over(jobs.items, asked).sort(newestFirst);
    const fresh = new Set(items.map((job) => job.id));
    const oldest = jobs.items.at(-1)?.created_at ?? 0;
    const rest = jobs.next_cursor ? this.jobs.value.filter((job) => !fresh.has(job.id) && job.created_at < oldest) : [];
    this.jobs.value = [...items, ...rest];
    if (!rest.length) this.moreJobs.value = jobs.next_cursor;
    const open = items.find((job) => job.id === this.open.value?.id);
    if (open) this.open.value = open;
  }

  get impatient() {
    const state = this.environment.value?.state;
    return state === "installing" || this.jobs.value.some(isLive);
  }

  again() {
    this.#show(this.open.value?.id ?? null);
  }

  async #show(id) {
    const place = this.place.value;
    await this.attempt("show", { id }, ({ run }) => {
      this.comm.follow();
      if (place !== this.place.value) return;
      if (run) this.#snapshot(run);
      this.loading.value = false;
    });
  }

  show(id) {
    if (id === this.open.value?.id) return;
    batch(() => {
      this.#clear();
      this.open.value = this.jobs.value.find((job) => job.id === id) ?? null;
      this.loading.value = true;
    });
    this.#show(id);
  }

  startNew() {
    const left = this.open.value;
    batch(() => {
      this.#clear();
      this.open.value = null;
      this.refusals.value = {};
      this.loading.value = false;
    });
    remember(sessionStorage, this.#memory, null);
    if (left) this.attempt("show", { id: null }, () => this.comm.follow());
  }

  #clear() {
    this.place.value++;
    this.figures.value = {};
    this.history.value = [];
    this.log.value = "";
    this.curve.value = new Curve();
    this.version.value++;
    this.talk.value = null;
  }

  #snapshot({ job, figures, history, points, log, serving }) {
    const curve = new Curve();
    curve.add(points);
    this.figures.value = figures;
    this.history.value = history;
    this.log.value = log;
    this.curve.value = curve;
    this.version.value++;
    this.open.value = job;
    this.#mark(job.id, serving);
    this.#know(job);
    remember(sessionStorage, this.#memory, job.id);
  }

  #foldAll({ runs }) {
    batch(() => {
      for (const run of runs) this.#fold(run);
    });
  }

  #fold({ job, figures, history, points, log }) {
    this.#know(job);
    if (job.id !== this.open.value?.id) return;
    this.figures.value = figures;
    this.history.value = history;
    if (log) this.log.value = (this.log.value + log).slice(-LOG_CHARACTERS);
    if (points.length) {
      this.curve.value.add(points);
      this.version.value++;
    }
  }

  #know(job) {
    this.#told.know(job.id, job);
    if (this.open.value?.id === job.id) this.open.value = job;
    const at = this.jobs.value.findIndex((one) => one.id === job.id);
    if (at >= 0) this.jobs.value = this.jobs.value.with(at, job);
    else this.jobs.value = [job, ...this.jobs.value].sort(newestFirst);
  }

  #forget(id) {
    this.#told.know(id, null);
    this.jobs.value = this.jobs.value.filter((job) => job.id !== id);
    if (this.open.value?.id === id) this.startNew();
  }

  async showMore() {
    await this.attempt("more", { cursor: this.moreJobs.value }, ({ items, next_cursor }) => {
      const known = new Set(this.jobs.value.map((job) => job.id));
      this.jobs.value = [...this.jobs.value, ...items.filter((job) => !known.has(job.id))];
      this.moreJobs.value = next_cursor;
    });
  }

  // Choosing

  #fromPreset(preset) {
    return { preset: preset.name, values: { ...preset.recipe } };
  }

  choose(values) {
    this.draft.value = { ...this.draft.value, ...values };
    this.refusals.value = {};
  }

  usePreset(preset) {
    this.choose(this.#fromPreset(preset));
  }

  /** A field was changed; what the service said of it before does not count any more. */
  set(name, value) {
    this.draft.value = { ...this.draft.value, values: { ...this.draft.value.values, [name]: value } };
    const { [name]: _, "": __, ...others } = this.refusals.value;
    this.refusals.value = others;
  }

  /** Why the service refused a field; "" is what is of no field. */
  refusal(name) {
    const { message, remedy } = this.refusals.value[name] ?? {};
    return said(message, remedy) || null;
  }

  /** What is wrong with a field, as the page or the service sees it. */
  problem(name) {
    return this.recipe.value.problems[name] ?? this.refusal(name);
  }

  /** Run what a run was made of again, after changes. */
  useAgain(job) {
    this.startNew();
    const { datasets, bases } = this.form.value;
    this.draft.value = {
      dataset: datasets.some((one) => one.name === job.dataset) ? job.dataset : this.draft.value.dataset,
      base: bases.some((one) => one.id === job.base) ? job.base : this.draft.value.base,
      preset: null,
      values: { ...job.recipe },
    };
  }

  // Doing

  async begin() {
    const { value: draft } = this.draft;
    const { dataset, base } = draft;
    const { recipe, problems } = this.recipe.value;
    if (Object.keys(problems).length || this.beginning.value) return;
    this.beginning.value = true;
    const place = this.place.value;
    const begun = ({ run }) => {
      this.comm.follow();
      this.#offered = draft;
      this.#know(run.job);
      // Who went to another run meanwhile stays there; for Python it is the one that began.
      if (place !== this.place.value) return this.again();
      this.#clear();
      this.#snapshot(run);
    };
    try {
      await this.comm.call("begin", { dataset, base, recipe, key: this.#key }, (told) => batch(() => begun(told)));
      this.#key = randomId();
    } catch (error) {
      // The next attempt is another job, unless nobody answered.
      if (!this.noticeAway(error)) {
        this.#key = randomId();
        const field = error.details?.field ?? (error.code === "dataset" ? "dataset" : "");
        if (place === this.place.value) this.refusals.value = { [field]: error };
        else this.fail(error);
      }
    }
    this.beginning.value = false;
  }

  stop(job) {
    return this.#change(job, "stop", { intent: "stop" });
  }

  resume(job) {
    return this.#change(job, "resume", { resumable: false });
  }

  /** Ask for a change of a run, and show at once what it is about to be. */
  async #change(job, intent, values) {
    const changed = { ...job, ...values };
    this.#know(changed);
    this.#told.expect(job.id, changed);
    const done = await this.attempt(intent, { id: job.id }, (told) => this.#know(told));
    // What was told since stands.
    if (!done && this.jobs.value.includes(changed)) this.#know(job);
  }

  serve(job) {
    this.#mark(job.id, true);
    this.attempt("serve", { id: job.id }).then((asked) => asked || this.#mark(job.id, false));
  }

  #served({ id, serving, error }) {
    this.#mark(id, serving);
    if (error) this.fail(error);
  }

  #mark(id, serving) {
    const marked = new Set(this.serving.value);
    if (serving) marked.add(id);
    else marked.delete(id);
    this.serving.value = marked;
  }

  /** Put a chat page with the model in place of the run. */
  async talkTo(model) {
    const place = this.place.value;
    await this.attempt("talk", { model }, ({ widget }) => {
      if (place === this.place.value) this.talk.value = widget;
    });
  }

  async remove(job) {
    this.#forget(job.id);
    this.#told.expect(job.id, null);
    const done = await this.attempt("delete", { id: job.id });
    if (!done) return this.#know(job);
    this.#told.know(job.id, null);
    const act = () => this.attempt("restore", { id: job.id }, (restored) => this.#know(restored));
    this.toast({ text: t("deleted", { title: job.name }), action: t("undo"), act });
  }
}
