/** What was used: sums by model, provider, purpose, person or day, a bar per day, and the same as a file. */
import { count, sum } from "./format.js";
import { Icon } from "./icons.jsx";
import { t } from "./provider-strings.js";
import { said } from "./said.js";
import { Select } from "./segments.jsx";
import { nameOf, toCsv, totals } from "./usage.js";
import { UsagePlot } from "./usage-plot.jsx";

const SPANS = ["day", "week", "month", "quarter"];

function Controls({ page }) {
  const { by, span, everyone } = page.usageOf.value;
  const administers = page.may("administer") && page.me.value.hub;
  const groupings = ["model", "provider", "purpose", ...(everyone ? ["person", "group"] : []), "day"];
  const usage = page.usage.value;
  return (
    <div class="lw-usage-controls">
      <Select
        label={t("span")}
        choices={SPANS}
        value={span}
        says={(one) => t(`span_${one}`)}
        onChange={(to) => page.lookAt({ span: to })}
      />
      <Select
        label={t("by")}
        choices={groupings}
        value={by}
        says={(one) => t(`by_${one}`)}
        onChange={(to) => page.lookAt({ by: to })}
      />
      {administers && (
        <label class="lw-switch">
          <input
            type="checkbox"
            role="switch"
            aria-checked={everyone}
            checked={everyone}
            onChange={(event) => {
              const all = event.currentTarget.checked;
              page.lookAt({ everyone: all, ...(!all && ["person", "group"].includes(by) && { by: "model" }) });
            }}
          />
          {t("everyone")}
        </label>
      )}
      <span class="lw-space" />
      <button
        type="button"
        class="lw-button"
        disabled={!usage?.rows.length || !page.usageIsNew.value}
        onClick={() => save(toCsv(usage.rows, usage.by), `usage-by-${usage.by}.csv`)}
      >
        <Icon name="download" />
        {t("export_csv")}
      </button>
    </div>
  );
}

/** Let the browser save a text; nothing leaves the page. */
function save(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

function Figure({ name, children, hint }) {
  return (
    <div class="lw-figure">
      <dt>{name}</dt>
      <dd title={hint}>{children}</dd>
    </div>
  );
}

function Figures({ sums, currencies }) {
  return (
    <dl class="lw-figure-row">
      {currencies.map((currency) => (
        <Figure key={currency} name={t("cost_in", { currency })}>
          {sum(sums.costs[currency], currency)}
        </Figure>
      ))}
      {sums.unpriced_calls > 0 && (
        <Figure name={t("unpriced_calls")} hint={t("figure_cost_title")}>
          {t("calls", { n: count(sums.unpriced_calls) })}
        </Figure>
      )}
      <Figure name={t("calls_head")}>{count(sums.calls)}</Figure>
      <Figure name={t("tokens_in")}>{count(sums.input_tokens)}</Figure>
      <Figure name={t("tokens_out")}>{count(sums.output_tokens)}</Figure>
    </dl>
  );
}

function cost(row, currency) {
  const paid = row.costs?.[currency];
  return paid == null ? "–" : sum(Number(paid), currency);
}

function Row({ row, by, currencies, hasUnpriced }) {
  const reasoning = row.reasoning_tokens ? t("tokens_reasoning", { n: count(row.reasoning_tokens) }) : undefined;
  const about = row.estimated_calls ? "≈ " : "";
  const cached = row.cache_read_tokens ? t("tokens_cached", { n: count(row.cache_read_tokens) }) : undefined;
  return (
    <tr>
      <th scope="row" title={nameOf(row, by)}>
        {nameOf(row, by)}
      </th>
      <td title={row.estimated_calls ? t("calls_estimated", { n: count(row.estimated_calls) }) : undefined}>
        {count(row.calls)}
      </td>
      <td title={cached}>{about + count(row.input_tokens)}</td>
      <td title={reasoning}>{about + count(row.output_tokens)}</td>
      {currencies.map((currency) => (
        <td key={currency}>{cost(row, currency)}</td>
      ))}
      {hasUnpriced && <td>{row.unpriced_calls ? count(row.unpriced_calls) : "–"}</td>}
    </tr>
  );
}

function Table({ usage, sums, currencies }) {
  const hasUnpriced = sums.unpriced_calls > 0;
  return (
    <section class="lw-table-box" aria-label={t(`of_${usage.by}`)} tabIndex={0}>
      <table class="lw-table lw-usage-table">
        <thead>
          <tr>
            <th scope="col">{t(`of_${usage.by}`)}</th>
            <th scope="col">{t("calls_head")}</th>
            <th scope="col">{t("tokens_in")}</th>
            <th scope="col">{t("tokens_out")}</th>
            {currencies.map((currency) => (
              <th key={currency} scope="col">
                {currency}
              </th>
            ))}
            {hasUnpriced && (
              <th scope="col" title={t("figure_cost_title")}>
                {t("unpriced_calls")}
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {usage.rows.map((row) => (
            <Row
              key={nameOf(row, usage.by)}
              row={row}
              by={usage.by}
              currencies={currencies}
              hasUnpriced={hasUnpriced}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Report({ usage, theme }) {
  const { sums, currencies } = totals(usage.rows);
  return (
    <>
      <section class="lw-card">
        <Figures sums={sums} currencies={currencies} />
        <UsagePlot usage={usage} currencies={currencies} theme={theme} />
      </section>
      <section class="lw-card lw-usage-rows">
        <Table usage={usage} sums={sums} currencies={currencies} />
      </section>
    </>
  );
}

export function UsageView({ page, theme }) {
  const usage = page.usage.value;
  const failed = page.usageFailed.value;
  return (
    <div class="lw-usage" data-by={usage?.by}>
      <Controls page={page} />
      {failed && (
        <div class="lw-failure" role="alert">
          <Icon name="alert" />
          <div>
            <strong>{said(failed.message)}</strong> {said(failed.remedy)}
          </div>
          <button type="button" class="lw-button" onClick={() => page.askUsage()}>
            {t("retry")}
          </button>
        </div>
      )}
      {!usage && !failed && <div class="lw-skeleton" role="status" aria-label={t("loading")} />}
      {usage && !usage.rows.length && (
        <div class="lw-empty lw-providers-empty">
          <h2>{t("usage_none")}</h2>
          <p class="lw-note">{t("usage_none_hint")}</p>
        </div>
      )}
      {usage?.rows.length > 0 && <Report usage={usage} theme={theme.value} />}
    </div>
  );
}
