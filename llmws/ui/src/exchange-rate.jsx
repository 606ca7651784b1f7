/** What a dollar is in yuan: without it costs of one currency do not count against limits in the other. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Field } from "./field.jsx";
import { IconButton } from "./icons.jsx";
import { t } from "./provider-strings.js";

/** The person's own day, as a field for dates takes it: that of UTC may be tomorrow's. */
const today = () => new Intl.DateTimeFormat("sv").format();

function RateForm({ yuan, page, onClose }) {
  const form = useRef();
  useLayoutEffect(() => form.current.querySelector("input").focus(), []);
  const onSubmit = async (event) => {
    event.preventDefault();
    const data = new FormData(form.current);
    const done = await page.setRate(Number(data.get("rate")), data.get("valid_from"));
    // It may have been opened anew.
    if (done && form.current) onClose();
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    onClose();
  };
  return (
    <form ref={form} class="lw-rate-form" onSubmit={onSubmit} onKeyDown={onKeyDown}>
      <Field
        label={t("rate_yuan")}
        name="rate"
        required
        inputMode="decimal"
        pattern="[0-9]{1,4}([.][0-9]{1,8})?"
        title={t("amount_money")}
        defaultValue={yuan ?? ""}
      />
      <Field label={t("rate_from")} name="valid_from" type="date" required defaultValue={today()} />
      <button type="button" class="lw-button" onClick={onClose}>
        {t("cancel")}
      </button>
      <button type="submit" class="lw-primary" disabled={page.busy.value.has("rate")}>
        {t("save")}
      </button>
    </form>
  );
}

export function ExchangeRate({ page }) {
  const editing = useSignal(false);
  const close = () => {
    editing.value = false;
  };
  const rates = page.rates.value;
  if (rates === null) return null;
  const [newest] = rates;
  const yuan = newest && (newest.currency === "USD" ? newest.rate : Number((1 / newest.rate).toPrecision(6)));
  const told = newest && { rate: yuan, when: newest.valid_from, name: newest.set_by };
  return (
    <section class="lw-card lw-rate" aria-label={t("rate")}>
      <header>
        <h3>{t("rate")}</h3>
        {!editing.value && (
          <IconButton
            name="pencil"
            label={t("rate_set")}
            onClick={() => {
              editing.value = true;
            }}
          />
        )}
      </header>
      {editing.value ? (
        <RateForm yuan={yuan} page={page} onClose={close} />
      ) : (
        <p class="lw-quiet">{told ? t("rate_told", told) : t("rate_none")}</p>
      )}
    </section>
  );
}
