/** Where a person writes: the text, the model, its parameters, send and stop. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { AssistantOptions } from "./assistants.jsx";
import { AttachButton, AttachmentBar, obstacle, pasted } from "./attachments.jsx";
import { keepDraft } from "./dashboard.js";
import { short } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { t } from "./input-strings.js";
import { Popover } from "./popover.jsx";
import { said } from "./said.js";
import "./composer.css";

export function Model({ model, chosen, onPick }) {
  const ready = model.state === "ready";
  const about = [model.provider, model.context && t("context", { n: short(model.context) })]
    .filter(Boolean)
    .join(" · ");
  return (
    <button
      type="button"
      role="option"
      class="lw-option"
      aria-selected={chosen}
      data-first={chosen || undefined}
      disabled={model.state === "unavailable"}
      onClick={() => onPick(model.id)}
    >
      <span class="lw-dot" data-state={model.state} />
      <span class="lw-option-text">
        <span>{model.name || model.id}</span>
        <small>{ready ? about : said(model.reason) || t(`model_${model.state}`)}</small>
      </span>
      <Abilities model={model} />
      {chosen && <Icon name="check" />}
    </button>
  );
}

/** What a model can do besides talk. */
function Abilities({ model }) {
  const told = [model.vision && ["show", t("model_sees")], model.tools && ["function", t("model_calls")]].filter(
    Boolean,
  );
  return told.map(([icon, label]) => (
    <span key={icon} class="lw-ability" role="img" aria-label={label} title={label}>
      <Icon name={icon} />
    </span>
  ));
}

function ModelPicker({ page, onClose }) {
  const wanted = useSignal("");
  const models = page.models.value;
  const found = models.filter((model) => `${model.id} ${model.name}`.toLowerCase().includes(wanted.value));
  const onPick = (id) => {
    page.setModel(id);
    onClose();
  };
  return (
    <Popover label={t("model_pick")} onClose={onClose}>
      {models.length > 8 && (
        <input
          type="search"
          class="lw-input"
          placeholder={t("model_find")}
          aria-label={t("model_find")}
          onInput={(event) => {
            wanted.value = event.currentTarget.value.trim().toLowerCase();
          }}
        />
      )}
      {!models.length && <p class="lw-quiet">{t("model_none_hint")}</p>}
      <AssistantOptions page={page} onClose={onClose} />
      <div class="lw-options" role="listbox" aria-label={t("model_pick")}>
        {found.map((model) => (
          <Model key={model.id} model={model} chosen={model.id === page.modelId.value} onPick={onPick} />
        ))}
      </div>
    </Popover>
  );
}

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

/** The text itself grows with what is written; Enter sends it, Shift and Enter make a line. */
export function PromptText({ text, input, hint, onSend, onPaste }) {
  useEffect(() => keepDraft(text), []);
  useLayoutEffect(() => {
    input.current.style.height = "auto";
    input.current.style.height = `${Math.min(input.current.scrollHeight, 240)}px`;
  }, [text.value]);
  const onKeyDown = (event) => {
    // 229 is what some input methods report while they compose.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    onSend();
  };
  return (
    <textarea
      ref={input}
      rows={1}
      value={text.value}
      placeholder={hint}
      aria-label={t("compose")}
      onInput={(event) => {
        text.value = event.currentTarget.value;
      }}
      onKeyDown={onKeyDown}
      onPaste={onPaste}
    />
  );
}

export function Composer({ page, panel, input }) {
  const text = useSignal("");
  const model = page.model.value;
  const running = page.running.value;
  const state = model?.state ?? "missing";
  const { attachments } = page;
  const ready = state === "ready" && !page.loading.value && attachments.ready.value && !obstacle(page);
  const something = text.value.trim() || attachments.items.value.length > 0;
  // Another conversation: write at once. Later than now would take the focus from what was pressed next.
  useLayoutEffect(() => input.current.focus({ preventScroll: true }), [page.place.value]);
  const send = () => {
    if (!something || running || !ready) return;
    const wanted = text.value.trim();
    text.value = "";
    page.send(wanted, attachments.take());
  };
  const toggle = (name) => () => {
    panel.value = panel.value === name ? null : name;
  };
  const close = () => {
    panel.value = null;
  };
  const changed = Object.values(page.settings.value.parameters ?? {}).some((value) => value != null);
  return (
    <div class="lw-composer">
      {panel.value === "models" && <ModelPicker page={page} onClose={close} />}
      {panel.value === "parameters" && <ParametersForm page={page} onClose={close} />}
      <AttachmentBar page={page} />
      <PromptText text={text} input={input} hint={t("compose_hint")} onSend={send} onPaste={pasted(page)} />
      <div class="lw-composer-bar">
        <AttachButton page={page} />
        <button
          type="button"
          class="lw-picker"
          aria-haspopup="dialog"
          aria-expanded={panel.value === "models"}
          aria-label={`${t("model")}: ${model?.name || page.modelId.value || t("model_none")}`}
          title={said(model?.reason) || t("model_pick")}
          onClick={toggle("models")}
        >
          <span class="lw-dot" data-state={state} />
          <span class="lw-picker-name">{model?.name || page.modelId.value || t("model_none")}</span>
          {page.modelId.value && state !== "ready" && <span class="lw-quiet">{t(`model_${state}`)}</span>}
          <Icon name="chevron" />
        </button>
        <IconButton
          name="sliders"
          label={t("parameters")}
          aria-haspopup="dialog"
          aria-expanded={panel.value === "parameters"}
          data-changed={changed || Boolean(page.settings.value.system)}
          onClick={toggle("parameters")}
        />
        <span class="lw-space" />
        {running ? (
          <button
            type="button"
            class="lw-send"
            aria-label={t("stop")}
            title={`${t("stop")} (Esc)`}
            onClick={() => page.stop()}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button
            type="button"
            class="lw-send"
            aria-label={t("send")}
            title={t("send")}
            disabled={!ready || !something}
            onClick={send}
          >
            <Icon name="arrow_up" />
          </button>
        )}
      </div>
    </div>
  );
}
