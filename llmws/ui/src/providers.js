/**
 * What the page of providers knows, and all that a person can do on it. Components read the signals and call methods.
 *
 * Python owns the truth; what is kept here is its last word. A key that is typed never becomes part of this state: see
 * `provider-form.jsx` for the one place that holds it while a form is open.
 */
import { batch, computed, signal } from "@preact/signals";
import { Attached } from "./attached.js";
import { randomId, recall, remember } from "./page.js";
import { t } from "./provider-strings.js";
import { Told } from "./told.js";

/** What a model can do beside text, as far as it can be told. */
export const ABILITIES = ["vision", "tools", "reasoning", "json_schema", "embeddings"];

const TABS = ["providers", "usage", "limits"];

/** "off", "failed", "parked", "ready" or "unknown", and what to say of it. */
export function stateOf(provider) {
  if (!provider.enabled) return { state: "off", says: t("account_off") };
  const keys = provider.keys ?? [];
  if (keys.length && keys.every(isParked))
    return { state: "parked", says: t("account_parked"), problem: provider.problem };
  if (provider.problem) return { state: "failed", says: t("account_failed"), problem: provider.problem };
  if (provider.listed_at) return { state: "ready", says: t("account_ready") };
  return { state: "unknown", says: t("account_unknown") };
}

/** Whether a key rests now, because its provider refused it. */
export const isParked = (key) =>
  Boolean(key.parked_reason) && (key.parked_until == null || key.parked_until > Date.now() / 1000);

/** What the provider calls a model of its. */
export const ownName = (provider, model) => model.id.slice(provider.id.length + 1);

/** A pattern that fits this name and no other. */
const literally = (name) => name.replace(/[*?[]/g, "[$&]");

/** What is known of this model under `name`, with who says so; null where nobody knows. */
export const capability = (model, name) => model.capabilities?.find((one) => one.name === name) ?? null;

export class Providers extends Attached {
  me = signal(null);
  vendors = signal([]);
  providers = signal([]);
  /** What each provider cost this month, by its id. */
  spend = signal(new Map());
  limits = signal([]);

  /** What one currency is in another, newest first, as administrators set it; null until it is asked for. */
  rates = signal(null);

  /** "providers", "usage" or "limits". */
  tab = signal("providers");
  /** The id of the provider that is shown, `null` for the list. */
  openId = signal(null);
  models = signal(null);
  /** The last test of the provider that is shown. */
  verdict = signal(null);
  /** The vendor whose form is open; "" is the choice of one, null neither. */
  adding = signal(null);
  /** The id of the chat page that stands in place of the provider. */
  talk = signal(null);
  /** What is being waited for, by name: "test", "sync", "probe:<model>". */
  busy = signal(new Set());

  usage = signal(null);
  usageFailed = signal(null);
  usageOf = signal({ by: "model", span: "month", everyone: false });
  /** Whether what is shown is what was asked for last. */
  usageIsNew = computed(() => {
    const { value: usage } = this.usage;
    return Object.entries(this.usageOf.value).every(([name, wanted]) => usage?.[name] === wanted);
  });

  open = computed(() => this.providers.value.find((one) => one.id === this.openId.value) ?? null);

  /** The provider that was shown last: the keys go on at its card. */
  left = null;

  #memory = `llmws.providers:${location.pathname}`;
  #asked = 0;
  #told = new Told();
  #limitsTold = 0;
  #changed = Promise.resolve();
  #offers = 0;

  constructor(model) {
    super(model, {
      provider: ({ provider }) => this.know(provider),
      removed: ({ id }) => this.#forget(id),
      limits: ({ limits }) => this.#takeLimits(limits),
    });
    this.model = model;
    this.start();
  }

  /** Whether the person may do `action`, as the service's rules name it. */
  may(action) {
    return this.me.value?.actions.includes(action) ?? false;
  }

  /** Whether the person says where this provider's keys and money go; what a file names is nobody's. */
  owns(provider) {
    return this.may("configure") && provider.owner !== "" && provider.mine;
  }

  /** Whether the person may switch it off, remove it, and take its keys away. */
  manages(provider) {
    return this.owns(provider) || (this.may("administer") && provider.owner !== "");
  }

  // Reading

  #remembered() {
    try {
      return JSON.parse(recall(sessionStorage, this.#memory) ?? "{}");
    } catch {
      return {};
    }
  }

  #remember() {
    remember(sessionStorage, this.#memory, JSON.stringify({ tab: this.tab.value, provider: this.openId.value }));
  }

  memory() {
    return { provider: this.#remembered().provider ?? null };
  }

  started({ me, vendors, shown, ...now }) {
    this.me.value = me;
    this.vendors.value = vendors;
    this.beat(now, 0);
    const { tab } = this.#remembered();
    const wanted = this.may("configure") ? (shown ? "providers" : tab) : tab === "limits" ? tab : "usage";
    this.tab.value = TABS.includes(wanted) ? wanted : "providers";
    if (shown) this.#take(shown);
    this.#arrive();
  }

  /** Ask for what only the view that is shown needs. */
  #arrive() {
    if (this.tab.value === "usage") this.askUsage();
    if (this.tab.value === "limits" && this.may("administer")) this.askRates();
  }

  beat({ providers, spend, limits }, asked) {
    // All that a message which was missed may have told is in it.
    this.comm.follow();
    this.providers.value = this.#told.over(providers, asked);
    this.spend.value = new Map(spend.map((row) => [row.provider, row]));
    if (asked >= this.#limitsTold) this.limits.value = limits;
    if (this.openId.value && !this.open.value && !this.loading.value) this.#leave();
  }

  again() {
    if (this.openId.value) this.show(this.openId.value);
    this.#arrive();
  }

  #take({ provider, models }) {
    this.know(provider);
    this.openId.value = provider.id;
    this.models.value = models;
    this.#remember();
  }

  /** Take in how a provider is now. */
  know(provider) {
    this.#told.know(provider.id, provider);
    const at = this.providers.value.findIndex((one) => one.id === provider.id);
    this.providers.value = at < 0 ? [...this.providers.value, provider] : this.providers.value.with(at, provider);
  }

  #forget(id) {
    this.#told.know(id, null);
    this.providers.value = this.providers.value.filter((one) => one.id !== id);
    if (this.openId.value === id) this.#leave();
  }

  #takeLimits(limits) {
    this.#limitsTold = performance.now();
    this.limits.value = limits;
  }

  // Going about

  go(tab) {
    batch(() => {
      this.tab.value = tab;
      this.adding.value = null;
      if (this.openId.value) this.#leave();
    });
    this.#remember();
    this.#arrive();
  }

  async show(id) {
    batch(() => {
      if (id !== this.openId.value) {
        this.models.value = null;
        this.verdict.value = null;
      }
      this.adding.value = null;
      this.openId.value = id;
    });
    const done = await this.attempt("show", { id }, ({ shown }) => {
      if (this.openId.value === id) this.#take(shown);
    });
    if (!done && !this.away.value && this.openId.value === id) this.#leave();
  }

  #leave() {
    this.left = this.openId.value;
    this.openId.value = this.talk.value = null;
    this.models.value = null;
    this.verdict.value = null;
    this.#remember();
    this.attempt("show", { id: null });
  }

  leave() {
    batch(() => {
      if (this.adding.value !== null) this.adding.value = this.adding.value ? "" : null;
      else this.#leave();
    });
  }

  startAdding(vendor = "") {
    batch(() => {
      if (this.openId.value) this.#leave();
      this.tab.value = "providers";
      this.adding.value = vendor;
    });
  }

  // Doing

  /** Ask Python and show that it is being waited for; see `attempt`. */
  async wait(name, intent, values, apply) {
    this.#mark(name, true);
    try {
      // It goes by what was changed before.
      await this.#changed;
      return await this.attempt(intent, values, apply);
    } finally {
      this.#mark(name, false);
    }
  }

  #mark(name, waits) {
    const marked = new Set(this.busy.value);
    if (waits) marked.add(name);
    else marked.delete(name);
    this.busy.value = marked;
  }

  /** Take in a provider that a form has made; it is shown unless the person went on meanwhile. */
  added({ shown, warnings }, stays) {
    batch(() => {
      if (!stays) return this.know(shown.provider);
      this.adding.value = null;
      this.#take(shown);
    });
    // For Python it is the one that was added.
    if (!stays) this.attempt("show", { id: this.openId.value });
    if (warnings.length) this.toast({ text: t("added", { name: shown.provider.name }), remedy: warnings.join(" ") });
  }

  change(provider, changes) {
    const values = { id: provider.id, changes };
    return this.#inTurn(() => this.attempt("change", values, (told) => this.know(told)));
  }

  /** Change something of a provider once what was changed before is kept, or refused: the last change is to stand. */
  #inTurn(change) {
    const done = this.#changed.then(change);
    // A mistake in one holds up no other.
    this.#changed = done.catch(() => {});
    return done;
  }

  async remove(provider) {
    this.#forget(provider.id);
    this.#told.expect(provider.id, null);
    const asked = await this.attempt("remove", { id: provider.id });
    if (!asked) return this.know(provider);
    this.#told.know(provider.id, null);
    const act = () => this.attempt("keep", { id: provider.id }, (told) => this.know(told));
    this.toast({ text: t("deleted", { title: provider.name }), action: t("undo"), act });
  }

  retest(provider) {
    return this.wait("test", "retest", { id: provider.id }, ({ provider: told, verdict }) => {
      this.know(told);
      if (this.openId.value === provider.id) this.verdict.value = verdict;
    });
  }

  sync(provider) {
    return this.wait("sync", "sync", { id: provider.id }, ({ provider: told, models }) => {
      this.know(told);
      if (this.openId.value !== provider.id) return;
      this.models.value = models;
      if (told.problem) this.verdict.value = { ok: false, ...told.problem };
    });
  }

  #takeModels(provider, models) {
    if (this.openId.value === provider.id) this.models.value = models;
  }

  probe(provider, model) {
    const values = { id: provider.id, model: model.id };
    return this.wait(`probe:${model.id}`, "probe", values, ({ models }) => {
      this.#takeModels(provider, models);
      const found = models.find((one) => one.id === model.id);
      if (found) this.toast({ text: this.#abilities(ownName(provider, model), found) });
    });
  }

  /** What a probe found, in a sentence. */
  #abilities(name, model) {
    const able = ABILITIES.filter((ability) => capability(model, ability)?.value);
    const list = able.map((ability) => t(`can_${ability}`)).join(t("comma"));
    return list ? t("probed", { name, list }) : t("probed_none", { name });
  }

  /** Put a chat page with the model in place of the provider. */
  async talkTo(model) {
    const { value: id } = this.openId;
    await this.attempt("talk", { model: model.id }, ({ widget }) => {
      if (this.openId.value === id) this.talk.value = widget;
    });
  }

  /** Offer a model, or no longer. It shows at once, so that what is hidden next goes by it. */
  async offer(provider, model, offered) {
    this.models.value = this.models.value.map((one) => (one.id === model.id ? { ...one, offered } : one));
    const only = this.#offeredOf(provider);
    const before = await this.#offerOnly(provider, () => only);
    if (!before || offered) return;
    const act = () => this.#offerAgain(provider, model, { only, before });
    this.toast({ text: t("hidden", { name: ownName(provider, model) }), action: t("undo"), act });
  }

  /** Take back what changed the patterns of `before` to those of `only`; what was hidden since stays hidden. */
  #offerAgain(provider, model, { only, before }) {
    const isLast = (now) => String(now) === String(only);
    if (this.openId.value === provider.id && this.models.value && !isLast(this.#offeredOf(provider)))
      return this.offer(provider, model, true);
    const withIt = (now) => (now.length ? [...now, literally(ownName(provider, model))] : now);
    return this.#offerOnly(provider, (now) => (isLast(now) ? before : withIt(now)));
  }

  /** The patterns of those that are offered become the models' own names. */
  #offeredOf(provider) {
    const models = this.models.value;
    const offered = models.filter((one) => one.offered);
    return offered.length === models.length ? [] : offered.map((one) => literally(ownName(provider, one)));
  }

  /** Offer by the patterns that `wanted` makes of those before, which are returned; null where it could not be done. */
  #offerOnly(provider, wanted) {
    const offer = ++this.#offers;
    return this.#inTurn(async () => {
      const before = this.providers.value.find((one) => one.id === provider.id)?.only ?? [];
      const values = { id: provider.id, only: wanted(before) };
      const done = await this.attempt("offer", values, ({ provider: told, models }) => {
        this.know(told);
        // What was pressed since is not in it.
        if (offer === this.#offers) this.#takeModels(provider, models);
      });
      if (!done && this.openId.value === provider.id) this.show(provider.id);
      return done ? before : null;
    });
  }

  setPrice(provider, model, price) {
    const values = { id: provider.id, model: model.id, price };
    return this.wait("price", "set_price", values, ({ models }) => this.#takeModels(provider, models));
  }

  addKey(provider, values) {
    const take = ({ provider: told, warnings }) => {
      this.know(told);
      if (warnings.length) this.toast({ text: warnings.join(" ") });
    };
    return this.#inTurn(() => this.attempt("add_key", { id: provider.id, ...values }, take));
  }

  changeKey(provider, key, changes) {
    const values = { id: provider.id, key: key.id, changes };
    return this.#inTurn(() => this.attempt("change_key", values, (told) => this.know(told)));
  }

  async removeKey(provider, key) {
    const values = { id: provider.id, key: key.id };
    const ask = (intent) => this.#inTurn(() => this.attempt(intent, values, (told) => this.know(told)));
    if (!(await ask("remove_key"))) return;
    const act = () => ask("keep_key");
    this.toast({ text: t("deleted", { title: key.label || t("key_unnamed") }), action: t("undo"), act });
  }

  share(provider, kind, grantee) {
    return this.attempt("share", { id: provider.id, kind, grantee }, (told) => this.know(told));
  }

  async unshare(provider, { kind, grantee }) {
    const values = { id: provider.id, kind, grantee };
    if (!(await this.attempt("unshare", values, (told) => this.know(told)))) return;
    const act = () => this.share(provider, kind, grantee);
    this.toast({ text: t("unshared", { name: grantee }), action: t("undo"), act });
  }

  // Usage

  lookAt(changes) {
    this.usageOf.value = { ...this.usageOf.value, ...changes };
    this.askUsage();
  }

  async askUsage() {
    const asked = ++this.#asked;
    const { by, span, everyone } = this.usageOf.value;
    this.usageFailed.value = null;
    try {
      await this.comm.call("used", { by, span, everyone }, (told) => {
        if (asked === this.#asked) this.usage.value = { ...told, by, span, everyone };
      });
    } catch (error) {
      if (asked === this.#asked && !this.noticeAway(error)) this.usageFailed.value = error;
    }
  }

  // Limits

  setLimit(limit, id) {
    const values = id ? { limit, id } : { limit };
    return this.wait("limit", "set_limit", values, ({ limits }) => this.#takeLimits(limits));
  }

  askRates() {
    return this.attempt("rates", {}, ({ rates }) => {
      this.rates.value = rates;
    });
  }

  setRate(rate, valid_from) {
    return this.wait("rate", "set_rate", { rate, valid_from }, ({ rates }) => {
      this.rates.value = rates;
    });
  }

  async dropLimit(limit) {
    const take = ({ limits }) => this.#takeLimits(limits);
    if (!(await this.attempt("drop_limit", { id: limit.id }, take))) return;
    const { kind, name, model, unit, period, soft, hard, forbid_unpriced } = limit;
    const again = { kind, name, model, unit, period, soft, hard, forbid_unpriced };
    const act = () => this.setLimit(again);
    this.toast({ text: t("limit_deleted"), action: t("undo"), act });
  }
}

/** A key that makes a repeated request the same one. */
export const newKey = () => randomId();
