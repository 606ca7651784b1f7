/** Models to choose from: found by their names where they are many, each with whether it can be asked and what it can do. */
import { useSignal } from "@preact/signals";
import { short } from "./format.js";
import { Icon } from "./icons.jsx";
import { t } from "./input-strings.js";
import { said } from "./said.js";

/** So many are seen at once. */
const FEW = 8;

/** `label` names the list; `children` stand above it, below the field that finds. */
export function ModelList({ label, models, isChosen, onPick, children }) {
  const wanted = useSignal("");
  const found = models.filter((model) => `${model.id} ${model.name}`.toLowerCase().includes(wanted.value));
  const first = found.find((model) => model.state !== "unavailable");
  const onKeyDown = (event) => {
    if (event.key !== "Enter") return;
    // Its rest would press what has the focus next.
    event.preventDefault();
    if (wanted.value && first) onPick(first.id);
  };
  return (
    <>
      {(models.length > FEW || wanted.value) && (
        <input
          type="search"
          class="lw-input"
          placeholder={t("model_find")}
          aria-label={t("model_find")}
          onInput={(event) => {
            wanted.value = event.currentTarget.value.trim().toLowerCase();
          }}
          onKeyDown={onKeyDown}
        />
      )}
      {!found.length && <p class="lw-quiet">{t(models.length ? "model_not_found" : "model_none_hint")}</p>}
      {children}
      <div class="lw-options" role="listbox" aria-label={label}>
        {found.map((model) => (
          <ModelOption key={model.id} model={model} chosen={isChosen(model.id)} onPick={onPick} />
        ))}
      </div>
    </>
  );
}

function ModelOption({ model, chosen, onPick }) {
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
