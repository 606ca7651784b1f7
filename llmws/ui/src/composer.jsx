/** Where a person writes: the text, what goes along, the model, its parameters, send and stop. */
import { useLayoutEffect } from "preact/hooks";
import { AssistantOptions } from "./assistants.jsx";
import { AttachButton, AttachmentBar, obstacle, pasted } from "./attachments.jsx";
import { Icon, IconButton } from "./icons.jsx";
import { t } from "./input-strings.js";
import { ModelList } from "./model-list.jsx";
import { ParametersForm } from "./parameters.jsx";
import { Popover } from "./popover.jsx";
import { PromptText } from "./prompt.jsx";
import { said } from "./said.js";
import { SendButton, useSending } from "./sending.jsx";
import "./composer.css";

function ModelPicker({ page, onClose }) {
  const onPick = (id) => {
    page.setModel(id);
    onClose();
  };
  return (
    <Popover label={t("model_pick")} onClose={onClose}>
      <ModelList
        label={t("model_pick")}
        models={page.models.value}
        isChosen={(id) => id === page.modelId.value}
        onPick={onPick}
      >
        <AssistantOptions page={page} onClose={onClose} />
      </ModelList>
    </Popover>
  );
}

/** `text` is what is being written: it is there again when the composer comes back. */
export function Composer({ page, panel, input, text }) {
  const model = page.model.value;
  const running = page.running.value;
  const state = model?.state ?? "missing";
  const { attachments } = page;
  const fits = (text.value.trim() || attachments.items.value.length > 0) && !running && !obstacle(page);
  const sending = useSending({
    text,
    place: page.place.value,
    able: fits && state === "ready" && !page.loading.value && attachments.ready.value,
    coming: fits && (page.loading.value || ["ready", "starting"].includes(state)),
    send: () => {
      const wanted = text.value.trim();
      text.value = "";
      page.send(wanted, attachments.take());
    },
  });
  // Another conversation: write at once. Later than now would take the focus from what was pressed next. A page that
  // opens in a notebook leaves it to the cells.
  useLayoutEffect(() => {
    if (page.place.value || document.body.dataset.voila) input.current.focus({ preventScroll: true });
  }, [page.place.value]);
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
      <PromptText text={text} input={input} hint={t("compose_hint")} onSend={sending.send} onPaste={pasted(page)} />
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
        <SendButton sending={sending} stop={running && { label: t("stop"), act: () => page.stop() }} />
      </div>
    </div>
  );
}
