/** How a model shall answer: what is set for a conversation, or for the next comparison. */
import { useSignal } from "@preact/signals";
import { Popover } from "./popover.jsx";
import { t } from "./strings.js";

export function ParametersForm({ page, onClose }) {
  const { parameters = {}, system } = page.settings.value;
  const { temperature = null, max_tokens = null } = parameters;
  const bad = useSignal(false);
  // The fields keep what is being typed, whatever comes in meanwhile; a reset makes new ones.
  const resets = useSignal(0);
  const reset = () => {
    page.change({ parameters: {}, system: "" });
    bad.value = false;
    resets.value++;
  };
  const set = (name, value) => page.change({ parameters: { ...page.settings.value.parameters, [name]: value } });
  const onMaxTokens = (event) => {
    const { value } = event.currentTarget;
    bad.value = value !== "" && !/^[1-9]\d{0,8}$/.test(value);
    if (!bad.value) set("max_tokens", value === "" ? null : Number(value));
  };
  return (
    <Popover label={t("parameters")} onClose={onClose}>
      <div class="lw-form" key={resets.value}>
        <label class="lw-field">
          <span class="lw-field-head">
            {t("parameter_temperature")}
            <span class="lw-unit">{temperature === null ? t("parameter_default") : temperature.toFixed(1)}</span>
          </span>
          <input
            type="range"
            min="0"
            max="2"
            step="0.1"
            defaultValue={temperature ?? 1}
            data-unset={temperature === null}
            onChange={(event) => set("temperature", Number(event.currentTarget.value))}
          />
        </label>
        <label class="lw-field">
          <span class="lw-field-head">{t("parameter_max_tokens")}</span>
          <input
            class="lw-input"
            inputMode="numeric"
            defaultValue={max_tokens ?? ""}
            placeholder={t("parameter_default")}
            aria-invalid={bad.value}
            onChange={onMaxTokens}
          />
          {bad.value && <small class="lw-bad">{t("parameter_max_tokens_bad")}</small>}
        </label>
        <label class="lw-field">
          <span class="lw-field-head">{t("parameter_system")}</span>
          <textarea
            class="lw-input"
            rows={4}
            defaultValue={system ?? ""}
            placeholder={t("parameter_system_hint")}
            onChange={(event) => page.change({ system: event.currentTarget.value.trim() })}
          />
        </label>
        <button type="button" class="lw-link" onClick={reset}>
          {t("parameter_reset")}
        </button>
      </div>
    </Popover>
  );
}
