/** A model in a list to choose from: whether it can be asked, and what it can do. */
import { short } from "./format.js";
import { Icon } from "./icons.jsx";
import { t } from "./input-strings.js";
import { said } from "./said.js";

export function ModelOption({ model, chosen, onPick }) {
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
