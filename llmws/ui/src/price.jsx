/** What a model costs per million tokens, with what a person should know of the figure; an administrator may set it. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Field } from "./field.jsx";
import { sum } from "./format.js";
import { Popover } from "./popover.jsx";
import { t } from "./provider-strings.js";

const CURRENCIES = ["USD", "CNY"];

/** A price is a number, or a text where decimals matter to the service. */
const amount = (value, currency) => (value == null ? "–" : sum(Number(value), currency));

/** Who set a price here; null where it is one that is published. */
const setBy = (price) => /^set by (.+)$/.exec(price?.source ?? "")?.[1] ?? null;

function details(price) {
  const said = (name) => price[name] != null && `${t(`price_${name}`)} ${amount(price[name], price.currency)}`;
  const setter = setBy(price);
  const source = setter ? t("source_price", { name: setter }) : price.source;
  const from = price.valid_from && t("price_from", { when: price.valid_from });
  const read = price.checked && t("price_checked", { when: price.checked });
  const teller = price.second_hand && t("price_second_hand", { name: price.second_hand });
  const more = [price.tiers?.length && t("price_tiers"), price.hours?.length && t("price_hours")];
  return [said("cache_read"), said("cache_write"), ...more, source, read, teller, from].filter(Boolean).join(" · ");
}

function Form({ model, provider, page, onClose }) {
  const form = useRef();
  const price = model.price;
  const onSubmit = async (event) => {
    event.preventDefault();
    const data = new FormData(form.current);
    const values = {
      input: Number(data.get("input")),
      output: Number(data.get("output")),
      currency: data.get("currency"),
    };
    // It may have been opened anew.
    if ((await page.setPrice(provider, model, values)) && form.current) onClose();
  };
  const field = (name) => (
    <Field
      label={t(`price_${name}`)}
      name={name}
      required
      inputMode="decimal"
      pattern="[0-9]*[.]?[0-9]+"
      defaultValue={price?.[name] ?? ""}
    />
  );
  return (
    <Popover label={t("price_set")} onClose={onClose}>
      <form ref={form} class="lw-form" onSubmit={onSubmit}>
        <p class="lw-quiet">{t("price_set_hint")}</p>
        {field("input")}
        {field("output")}
        <label class="lw-field">
          <span class="lw-field-head">{t("currency")}</span>
          <select class="lw-input" name="currency" defaultValue={price?.currency ?? "USD"}>
            {CURRENCIES.map((currency) => (
              <option key={currency} value={currency} selected={currency === (price?.currency ?? "USD")}>
                {currency}
              </option>
            ))}
          </select>
        </label>
        <div class="lw-add-bar">
          {setBy(price) && (
            <button
              type="button"
              class="lw-link"
              onClick={async () => {
                if ((await page.setPrice(provider, model, null)) && form.current) onClose();
              }}
            >
              {t("price_reset")}
            </button>
          )}
          <button type="submit" class="lw-primary" disabled={page.busy.value.has("price")}>
            {t("save")}
          </button>
        </div>
      </form>
    </Popover>
  );
}

function Figures({ price, name }) {
  if (!price)
    return name === "input" ? <span class="lw-quiet">{t("figure_cost_none")}</span> : <span class="lw-quiet">–</span>;
  return <span title={details(price)}>{amount(price[name], price.currency)}</span>;
}

/** Two cells of the table of models: what goes in, and what comes out. */
export function Price({ model, provider, page }) {
  const open = useSignal(false);
  const may = page.may("administer");
  const now = model.price ? amount(model.price.input, model.price.currency) : t("figure_cost_none");
  return (
    <>
      <td class="lw-cell-number lw-cell-input">
        {may ? (
          <span class="lw-menu">
            <button
              type="button"
              class="lw-price"
              aria-label={`${t("price_set_of", { name: model.id })}: ${now}`}
              aria-haspopup="dialog"
              aria-expanded={open.value}
              onClick={() => {
                open.value = !open.value;
              }}
            >
              <Figures price={model.price} name="input" />
            </button>
            {open.value && (
              <Form
                model={model}
                provider={provider}
                page={page}
                onClose={() => {
                  open.value = false;
                }}
              />
            )}
          </span>
        ) : (
          <Figures price={model.price} name="input" />
        )}
      </td>
      <td class="lw-cell-number lw-cell-output">
        <Figures price={model.price} name="output" />
      </td>
    </>
  );
}
