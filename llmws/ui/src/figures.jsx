/** What an answer, and what a conversation came to, in figures: quiet ones, that say more when one asks. */
import { useSignal } from "@preact/signals";
import { count, money, seconds, short, speed, tokensPerSecond } from "./format.js";
import { Popover } from "./popover.jsx";
import { t } from "./turn-strings.js";
import "./turns.css";

/** The line under an answer. */
export function Figures({ message }) {
  const { model, usage, timing, cost, currency } = message;
  const rate = tokensPerSecond(message);
  const estimate = usage?.source === "estimate";
  const figures = [<span key="model">{model}</span>];
  if (usage) {
    const detail = t("figure_tokens_title", {
      input: count(usage.input_tokens ?? 0),
      output: count(usage.output_tokens ?? 0),
    });
    const tokens = t("figure_tokens", { n: `${estimate ? "≈" : ""}${count(usage.output_tokens ?? 0)}` });
    figures.push(
      <span key="tokens" title={estimate ? `${detail}\n${t("figure_estimate")}` : detail}>
        {tokens}
      </span>,
    );
  }
  if (timing?.first_token_s != null)
    figures.push(<span key="first">{t("figure_first", { s: seconds(timing.first_token_s) })}</span>);
  if (rate) figures.push(<span key="speed">{t("figure_speed", { n: speed(rate) })}</span>);
  if (cost != null && currency)
    figures.push(<span key="cost">{`${estimate ? "≈" : ""}${money(cost, currency)}`}</span>);
  else if (usage)
    figures.push(
      <span key="cost" title={t("figure_cost_title")}>
        {t("figure_cost_none")}
      </span>,
    );
  return <div class="lw-figures">{figures}</div>;
}

const percent = (value) => (value > 0 && value < 0.01 ? "< 1%" : `${Math.round(Math.min(value, 1) * 100)}%`);

/** How full, as a ring. */
function Ring({ part }) {
  const round = 2 * Math.PI * 8;
  return (
    <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
      <circle cx="10" cy="10" r="8" />
      <circle cx="10" cy="10" r="8" class="lw-ring" stroke-dasharray={`${Math.min(part, 1) * round} ${round}`} />
    </svg>
  );
}

function Context({ context }) {
  const { used, limit, source, dropped } = context;
  const told = source === "estimate" ? `≈${count(used)}` : count(used);
  return (
    <>
      <dt>{t("context_now")}</dt>
      <dd title={source === "estimate" ? t("context_estimated") : undefined}>
        {limit ? t("context_of", { used: told, limit: short(limit) }) : t("context_used", { used: told })}
      </dd>
      {dropped > 0 && <dd class="lw-note">{t("context_left_out", { n: count(dropped) })}</dd>}
    </>
  );
}

function Totals({ totals }) {
  const { input_tokens, output_tokens, costs, unpriced, estimated } = totals;
  const about = estimated ? "≈" : "";
  const paid = costs.map(({ cost, currency }) => `${about}${money(cost, currency)}`);
  if (unpriced) paid.push(t("cost_unpriced", { n: count(unpriced) }));
  return (
    <>
      <dt>{t("read_tokens")}</dt>
      <dd>{`${about}${count(input_tokens)}`}</dd>
      <dt>{t("written_tokens")}</dt>
      <dd>{`${about}${count(output_tokens)}`}</dd>
      <dt>{t("cost")}</dt>
      <dd>{paid.join(" · ") || "–"}</dd>
    </>
  );
}

/** How full the context is, in the header; pressed, it tells what the conversation came to. */
export function Filling({ page }) {
  const open = useSignal(false);
  const figures = page.turns.figures.value;
  if (!figures || figures.id !== page.open.value?.id) return null;
  const { context, totals } = figures;
  const part = context.limit ? context.used / context.limit : 0;
  const label = context.limit ? t("context_full", { n: percent(part) }) : t("so_far");
  return (
    <div class="lw-menu">
      <button
        type="button"
        class="lw-icon-button lw-filling"
        data-state={context.dropped || part >= 1 ? "full" : part >= 0.8 ? "near" : "room"}
        title={label}
        aria-label={label}
        aria-haspopup="dialog"
        aria-expanded={open.value}
        onClick={() => {
          open.value = !open.value;
        }}
      >
        <Ring part={part} />
      </button>
      {open.value && (
        <Popover
          label={t("so_far")}
          onClose={() => {
            open.value = false;
          }}
        >
          <div class="lw-so-far" tabIndex={-1} data-first>
            <strong>{t("so_far")}</strong>
            <dl>
              <Context context={context} />
              <Totals totals={totals} />
            </dl>
            <small class="lw-quiet">{t("so_far_hint")}</small>
          </div>
        </Popover>
      )}
    </div>
  );
}
