/** The models of a provider: what they can do and how that is known, and what they cost. */
import { useSignal } from "@preact/signals";
import { count, exactTime, relativeTime, short } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { Price } from "./price.jsx";
import { has, t } from "./provider-strings.js";
import { ABILITIES, capability, ownName } from "./providers.js";
import { said } from "./said.js";

/** As many rows as are shown at once; some providers have hundreds. */
const ROWS = 60;

const nameOf = (name) => (has(`can_${name}`) ? t(`can_${name}`) : name);

/** Where it is known from, since when, and what a probe saw. */
function origin({ source, checked_at, evidence }) {
  const from = has(`source_${source}`) ? t(`source_${source}`) : source;
  const when = checked_at ? `${from}, ${relativeTime(checked_at)} (${exactTime(checked_at)})` : from;
  return evidence ? `${when}\n${said(evidence)}` : when;
}

function Marks({ model }) {
  const known = ABILITIES.map((name) => capability(model, name)).filter(Boolean);
  const unable = known.filter((one) => !one.value);
  return (
    <span
      class="lw-marks"
      title={unable.map((one) => `${t("cannot", { name: nameOf(one.name) })}: ${origin(one)}`).join("\n")}
    >
      {known
        .filter((one) => one.value)
        .map((one) => (
          <span key={one.name} class="lw-tag" data-source={one.source} title={`${nameOf(one.name)}: ${origin(one)}`}>
            {one.source === "probe" && <Icon name="check" />}
            {nameOf(one.name)}
          </span>
        ))}
    </span>
  );
}

function Context({ model }) {
  const context = capability(model, "context");
  if (!context?.value) return <span class="lw-quiet">–</span>;
  return <span title={`${t("tokens", { n: count(context.value) })} · ${origin(context)}`}>{short(context.value)}</span>;
}

/** Whether the model can be chosen; one that is hidden stays in the list of those who may bring it back. */
function Offered({ model, provider, page }) {
  const name = ownName(provider, model);
  const hidden = model.offered === false;
  return (
    <IconButton
      name={hidden ? "show" : "hide"}
      label={t(hidden ? "unhide" : "hide", { name })}
      title={t(hidden ? "unhide_hint" : "hide_hint")}
      onClick={() => page.offer(provider, model, hidden)}
    />
  );
}

function Model({ model, provider, page }) {
  const probing = page.busy.value.has(`probe:${model.id}`);
  const own = ownName(provider, model);
  const named = model.name && model.name !== own;
  return (
    <tr data-hidden={model.offered === false}>
      <th scope="row">
        <span class="lw-model-name" title={model.id}>
          {named ? model.name : own}
        </span>
        {named && <small>{own}</small>}
      </th>
      <td class="lw-cell-marks">
        <Marks model={model} />
      </td>
      <td class="lw-cell-number lw-cell-context">
        <Context model={model} />
      </td>
      <Price model={model} provider={provider} page={page} />
      <td class="lw-cell-actions">
        {provider.enabled && model.offered !== false && !capability(model, "embeddings")?.value && (
          <IconButton
            name="chat"
            label={t("talk_to", { name: own })}
            title={t("talk")}
            onClick={() => page.talkTo(model)}
          />
        )}
        {page.may("configure") && (
          <IconButton
            name="probe"
            label={t("probe", { name: own })}
            title={t("probe_hint")}
            disabled={probing}
            data-busy={probing}
            onClick={() => page.probe(provider, model)}
          />
        )}
        {page.manages(provider) && <Offered model={model} provider={provider} page={page} />}
      </td>
    </tr>
  );
}

function Filters({ models, query, wanted }) {
  const there = ABILITIES.filter((name) => models.some((model) => capability(model, name)?.value));
  const toggle = (name) => {
    const chosen = new Set(wanted.value);
    if (!chosen.delete(name)) chosen.add(name);
    wanted.value = chosen;
  };
  return (
    <div class="lw-filters">
      <label class="lw-search lw-search-box">
        <Icon name="search" />
        <input
          type="search"
          placeholder={t("model_find")}
          aria-label={t("model_find")}
          onInput={(event) => {
            query.value = event.currentTarget.value;
          }}
        />
      </label>
      {there.map((name) => (
        <button
          key={name}
          type="button"
          class="lw-filter"
          aria-pressed={wanted.value.has(name)}
          onClick={() => toggle(name)}
        >
          {nameOf(name)}
        </button>
      ))}
    </div>
  );
}

function Rows({ models, provider, page }) {
  const rows = useSignal(ROWS);
  return (
    <>
      <div class="lw-table-box">
        <table class="lw-table lw-models">
          <thead>
            <tr>
              <th scope="col">{t("model")}</th>
              <th scope="col" class="lw-cell-marks">
                {t("capabilities")}
              </th>
              <th scope="col" class="lw-cell-number lw-cell-context">
                {t("context_head")}
              </th>
              <th scope="col" class="lw-cell-number" title={t("price_unit")}>
                {t("price_input")}
              </th>
              <th scope="col" class="lw-cell-number" title={t("price_unit")}>
                {t("price_output")}
              </th>
              <td class="lw-cell-actions" />
            </tr>
          </thead>
          <tbody>
            {models.slice(0, rows.value).map((model) => (
              <Model key={model.id} model={model} provider={provider} page={page} />
            ))}
          </tbody>
        </table>
      </div>
      {models.length > rows.value && (
        <button
          type="button"
          class="lw-link"
          onClick={() => {
            rows.value += 4 * ROWS;
          }}
        >
          {t("models_more", { n: count(models.length - rows.value) })}
        </button>
      )}
    </>
  );
}

export function ModelsCard({ provider, page }) {
  const query = useSignal("");
  const wanted = useSignal(new Set());
  const models = page.models.value;
  const written = query.value.trim().toLowerCase();
  const fits = (model) =>
    `${model.id} ${model.name ?? ""}`.toLowerCase().includes(written) &&
    [...wanted.value].every((name) => capability(model, name)?.value);
  const found = models?.filter(fits);
  const syncing = page.busy.value.has("sync");
  return (
    <section class="lw-card lw-models-card" aria-label={t("models")}>
      <header>
        <h3>
          {t("models")}
          {models && <span class="lw-quiet lw-number">{` ${count(models.length)}`}</span>}
        </h3>
        <small>{t("price_unit")}</small>
        {page.may("configure") && (
          <button type="button" class="lw-button" disabled={syncing} onClick={() => page.sync(provider)}>
            {syncing && <span class="lw-pulse" />}
            {t("sync")}
          </button>
        )}
      </header>
      {models === null && <div class="lw-skeleton" role="status" aria-label={t("loading")} />}
      {models?.length === 0 && <p class="lw-note">{t(provider.listed_at ? "models_none" : "models_unknown")}</p>}
      {models?.length > 0 && (
        <>
          <Filters models={models} query={query} wanted={wanted} />
          {found.length ? (
            <Rows models={found} provider={provider} page={page} />
          ) : (
            <p class="lw-note">{t("models_no_match")}</p>
          )}
        </>
      )}
    </section>
  );
}
