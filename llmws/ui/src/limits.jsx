/** Limits: administrators set them, everybody sees those that bind them, and how much is left. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { ExchangeRate } from "./exchange-rate.jsx";
import { Field } from "./field.jsx";
import { count, exactTime, relativeTime, sum } from "./format.js";
import { IconButton } from "./icons.jsx";
import { t } from "./provider-strings.js";
import { Segments, Select } from "./segments.jsx";

const UNITS = ["requests", "tokens", "parallel", "USD", "CNY"];
const PERIODS = ["minute", "day", "month"];
const MONEY = ["USD", "CNY"];
/** From here on a bar warns, where no softer bound was set. */
const NEAR = 0.8;

const isMoney = ({ unit }) => MONEY.includes(unit);
const amount = (value, limit) => (isMoney(limit) ? sum(Number(value), limit.unit) : count(Number(value)));

/** "100 requests a minute", "¥50 a month", "2 at a time" */
function bound(limit) {
  if (limit.hard == null && limit.soft == null) return t("limit_forbid_only");
  const most = amount(limit.hard ?? limit.soft, limit);
  if (limit.unit === "parallel") return t("limit_parallel", { n: most });
  const of = isMoney(limit) ? most : t(`limit_${limit.unit}`, { n: most });
  return t(`limit_per_${limit.period}`, { of });
}

function whom(limit) {
  if (limit.kind === "everyone") return t("kind_everyone");
  if (limit.name === "*") return t(`kind_each_${limit.kind}`);
  return t("limit_of", { kind: t(`kind_${limit.kind}`), name: limit.name });
}

const which = (limit) => (limit.model === "*" ? t("limit_all_models") : limit.model);

/** How much is used, with the softer bound as a mark; nothing where the service tells no figure. */
function Bar({ limit }) {
  if (limit.used == null || (limit.hard == null && limit.soft == null)) return null;
  const most = Number(limit.hard ?? limit.soft);
  const used = Number(limit.used);
  const share = most > 0 ? Math.min(1, used / most) : 1;
  const warns = limit.soft != null ? used >= Number(limit.soft) : share >= NEAR;
  const left = limit.remaining ?? Math.max(0, most - used);
  const at = limit.resets_at && Date.parse(limit.resets_at) / 1000;
  return (
    <div class="lw-limit-bar" data-state={share >= 1 ? "full" : warns ? "near" : "fine"}>
      <div class="lw-meter" aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
        {limit.soft != null && limit.hard != null && (
          <i
            style={{ left: `${(Number(limit.soft) / most) * 100}%` }}
            title={t("limit_soft_at", { n: amount(limit.soft, limit) })}
          />
        )}
      </div>
      <small>
        <span>{t("limit_used", { used: amount(used, limit), of: amount(most, limit) })}</span>
        <span>{t("limit_left", { n: amount(left, limit) })}</span>
        {at && <span title={exactTime(at)}>{t("limit_resets", { when: relativeTime(at) })}</span>}
      </small>
    </div>
  );
}

function Limit({ limit, page, onEdit }) {
  const sets = page.may("administer");
  return (
    <li class="lw-card lw-limit">
      <header>
        <h3>{bound(limit)}</h3>
        {sets && <IconButton name="pencil" label={t("edit")} onClick={onEdit} />}
        {sets && <IconButton name="trash" label={t("delete")} onClick={() => page.dropLimit(limit)} />}
      </header>
      <p class="lw-quiet">
        {[
          whom(limit),
          which(limit),
          limit.soft != null && limit.hard != null && t("limit_soft_at", { n: amount(limit.soft, limit) }),
          limit.hard == null && limit.soft != null && t("limit_soft_only"),
          limit.forbid_unpriced && (limit.hard ?? limit.soft) != null && t("limit_forbids"),
        ]
          .filter(Boolean)
          .join(" · ")}
      </p>
      <Bar limit={limit} />
    </li>
  );
}

function Choice({ label, choices, chosen, says }) {
  return (
    <div class="lw-field">
      <span class="lw-field-head">{label}</span>
      <Select
        label={label}
        choices={choices}
        value={chosen.value}
        says={says}
        onChange={(choice) => {
          chosen.value = choice;
        }}
      />
    </div>
  );
}

function Amount({ isWhole, value, required, ...field }) {
  return (
    <Field
      note={required ? null : t("optional")}
      inputMode="decimal"
      pattern={isWhole ? "[1-9][0-9]{0,11}" : "[0-9]{0,9}[.]?[0-9]{1,6}"}
      title={t(isWhole ? "amount_whole" : "amount_money")}
      required={required}
      defaultValue={value ?? ""}
      {...field}
    />
  );
}

/** Whom and what a new limit binds; of one that exists this stays as it is. */
function Scope({ page, kind, unit, period }) {
  return (
    <>
      <div class="lw-field">
        <span class="lw-field-head">{t("limit_whom")}</span>
        <Segments
          label={t("limit_whom")}
          choices={["everyone", ...(page.me.value.hub ? ["group"] : []), "person"]}
          chosen={kind}
          says={(one) => t(`kind_${one}`)}
        />
      </div>
      {kind.value !== "everyone" && (
        <Field label={t(`kind_${kind.value}`)} name="name" required maxLength={255} hint={t("limit_whom_hint")} />
      )}
      <Field
        label={t("limit_model")}
        name="model"
        class="lw-mono"
        placeholder="*"
        maxLength={255}
        hint={t("limit_model_hint")}
      />
      <Choice
        label={t("limit_unit")}
        choices={UNITS}
        chosen={unit}
        says={(one) => (MONEY.includes(one) ? one : t(`unit_${one}`))}
      />
      {unit.value !== "parallel" && (
        <Choice label={t("limit_period")} choices={PERIODS} chosen={period} says={(one) => t(`period_${one}`)} />
      )}
    </>
  );
}

const number = (text) => (text === "" ? null : Number(text));

function LimitForm({ limit, page, onClose }) {
  const form = useRef();
  const kind = useSignal("everyone");
  const unit = useSignal(limit?.unit ?? "USD");
  const period = useSignal(limit?.period ?? "month");
  const forbids = useSignal(limit?.forbid_unpriced ?? false);
  const warns = useSignal(limit?.soft != null);
  useLayoutEffect(() => form.current.querySelector(limit ? "[name=hard]" : "input").focus(), []);
  const isWhole = !MONEY.includes(unit.value);
  const onSubmit = async (event) => {
    event.preventDefault();
    const data = new FormData(form.current);
    const written = (name) => String(data.get(name) ?? "").trim();
    const bounds = { soft: number(written("soft")), hard: number(written("hard")), forbid_unpriced: forbids.value };
    const scope = !limit && {
      kind: kind.value,
      name: kind.value === "everyone" ? "" : written("name"),
      model: written("model") || "*",
      unit: unit.value,
      period: unit.value === "parallel" ? null : period.value,
    };
    // Another limit may be edited by now.
    if ((await page.setLimit({ ...scope, ...bounds }, limit?.id)) && form.current) onClose();
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    onClose();
  };
  return (
    <form
      ref={form}
      class="lw-card lw-limit-form"
      onSubmit={onSubmit}
      onKeyDown={onKeyDown}
      aria-label={t(limit ? "limit_edit" : "limit_add")}
    >
      {limit && <h3>{[bound(limit), whom(limit), which(limit)].join(" · ")}</h3>}
      <div class="lw-fields">
        {!limit && <Scope page={page} kind={kind} unit={unit} period={period} />}
        <Amount
          name="hard"
          label={t("limit_hard")}
          hint={t("limit_hard_hint")}
          value={limit?.hard}
          isWhole={isWhole}
          required={!warns.value && !forbids.value}
        />
        {unit.value !== "parallel" && (
          <Amount
            name="soft"
            label={t("limit_soft")}
            hint={t("limit_soft_hint")}
            value={limit?.soft}
            isWhole={isWhole}
            onInput={(event) => {
              warns.value = event.currentTarget.value.trim() !== "";
            }}
          />
        )}
      </div>
      <label class="lw-switch">
        <input
          type="checkbox"
          role="switch"
          aria-checked={forbids.value}
          checked={forbids.value}
          onChange={(event) => {
            forbids.value = event.currentTarget.checked;
          }}
        />
        {t("limit_forbid")}
      </label>
      <div class="lw-add-bar">
        <button type="button" class="lw-button" onClick={onClose}>
          {t("cancel")}
        </button>
        <button type="submit" class="lw-primary" disabled={page.busy.value.has("limit")}>
          {t(limit ? "save" : "limit_add")}
        </button>
      </div>
    </form>
  );
}

export function LimitsView({ page }) {
  /** The id of the limit that is edited; "" is a new one. */
  const editing = useSignal(null);
  const close = () => {
    editing.value = null;
  };
  const limits = page.limits.value;
  const sets = page.may("administer");
  return (
    <section class="lw-limits" aria-label={t("tab_limits")}>
      {sets && editing.value === null && limits.length > 0 && (
        <p class="lw-limits-head">
          <span class="lw-quiet">{t("limits_about")}</span>
          <button
            type="button"
            class="lw-button"
            onClick={() => {
              editing.value = "";
            }}
          >
            {t("limit_add")}
          </button>
        </p>
      )}
      {editing.value === "" && <LimitForm page={page} onClose={close} />}
      {!limits.length && editing.value === null && (
        <div class="lw-empty lw-providers-empty">
          <h2>{t("limits_none")}</h2>
          <p class="lw-note">{t(sets ? "limits_none_hint" : "limits_none_yours")}</p>
          {sets && (
            <button
              type="button"
              class="lw-primary"
              onClick={() => {
                editing.value = "";
              }}
            >
              {t("limit_add")}
            </button>
          )}
        </div>
      )}
      <ul>
        {limits.map((limit) =>
          editing.value === limit.id ? (
            <li key={limit.id}>
              <LimitForm limit={limit} page={page} onClose={close} />
            </li>
          ) : (
            <Limit
              key={limit.id}
              limit={limit}
              page={page}
              onEdit={() => {
                editing.value = limit.id;
              }}
            />
          ),
        )}
      </ul>
      {sets && <ExchangeRate page={page} />}
    </section>
  );
}
