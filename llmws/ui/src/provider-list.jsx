/** The providers as cards: whose they are, whether they answer, and what they cost this month. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { count, exactTime, relativeTime, sum } from "./format.js";
import { Icon } from "./icons.jsx";
import { t } from "./provider-strings.js";
import { stateOf } from "./providers.js";
import { said } from "./said.js";

export function State({ provider }) {
  const { state, says, problem } = stateOf(provider);
  return (
    <span class="lw-state" title={problem ? said(problem.message, problem.remedy) : undefined}>
      <span class="lw-dot" data-state={{ off: "idle", parked: "stopped", unknown: "idle" }[state] ?? state} />
      {says}
    </span>
  );
}

/** One or two letters in the place of a logo. */
export function Monogram({ name }) {
  const letters = name.match(/[\p{L}\p{N}]/gu) ?? ["?"];
  return (
    <span class="lw-monogram" aria-hidden="true">
      {letters[0].toUpperCase()}
    </span>
  );
}

/** What was spent, a sum per currency; what has no price is said and not counted as nothing. */
export function Spent({ row }) {
  if (!row?.calls) return <span class="lw-quiet">{t("spent_nothing")}</span>;
  const costs = Object.entries(row.costs ?? {});
  return (
    <>
      {costs.map(([currency, cost]) => (
        <span key={currency} class="lw-number">
          {sum(Number(cost), currency)}
        </span>
      ))}
      {row.unpriced_calls > 0 && (
        <span class="lw-quiet" title={t("calls", { n: count(row.unpriced_calls) })}>
          {t("figure_cost_none")}
        </span>
      )}
      {!costs.length && !row.unpriced_calls && <span class="lw-number">–</span>}
    </>
  );
}

export function sharedWith(provider) {
  const shared = provider.shared_with ?? [];
  if (provider.owner === "") return t("for_all");
  if (!provider.mine) return t("shared_by", { name: provider.owner });
  if (!shared.length) return t("for_you");
  const names = shared.map(({ grantee }) => grantee);
  return t("shared_with", { names: names.slice(0, 3).join(t("comma")) + (names.length > 3 ? "…" : "") });
}

export function Checked({ at }) {
  if (!at) return <span>{t("checked_never")}</span>;
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={exactTime(at)}>
      {relativeTime(at)}
    </time>
  );
}

function Card({ provider, page }) {
  const button = useRef();
  useLayoutEffect(() => {
    if (page.left !== provider.id || document.activeElement !== document.body) return;
    page.left = null;
    button.current.focus();
  }, []);
  const { problem } = stateOf(provider);
  const vendor = page.vendors.value.find((one) => one.id === provider.vendor);
  return (
    <li>
      <button
        ref={button}
        type="button"
        class="lw-provider"
        data-off={!provider.enabled}
        onClick={() => page.show(provider.id)}
      >
        <span class="lw-provider-head">
          <Monogram name={provider.name} />
          <span class="lw-provider-name">
            <strong>{provider.name}</strong>
            <small>
              {[vendor && vendor.name !== provider.name && vendor.name, sharedWith(provider)]
                .filter(Boolean)
                .join(" · ")}
            </small>
          </span>
          <State provider={provider} />
        </span>
        {problem && <span class="lw-provider-problem">{said(problem.message)}</span>}
        <dl>
          <div>
            <dt>{t("models")}</dt>
            <dd class="lw-number">{provider.model_count == null ? "–" : count(provider.model_count)}</dd>
          </div>
          <div>
            <dt>{t("checked")}</dt>
            <dd>
              <Checked at={provider.listed_at} />
            </dd>
          </div>
          <div>
            <dt>{t("spent_month")}</dt>
            <dd>
              <Spent row={page.spend.value.get(provider.id)} />
            </dd>
          </div>
        </dl>
      </button>
    </li>
  );
}

export function ProviderList({ page }) {
  const providers = page.providers.value;
  if (!providers.length)
    return (
      <div class="lw-empty lw-providers-empty">
        <Icon name="plug" />
        <h2>{t("empty_providers")}</h2>
        <p class="lw-note">{t("empty_providers_hint")}</p>
        <button type="button" class="lw-primary" onClick={() => page.startAdding()}>
          {t("add")}
        </button>
      </div>
    );
  return (
    <ul class="lw-provider-cards" aria-label={t("providers")}>
      {providers.map((provider) => (
        <Card key={provider.id} provider={provider} page={page} />
      ))}
    </ul>
  );
}
