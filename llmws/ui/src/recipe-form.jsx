/** The form for a new fine-tune: data, base, recipe, start. */
import { useId } from "preact/hooks";
import { count, percent as share } from "./format.js";
import { Icon } from "./icons.jsx";
import { applies, helpOf, idle, labelOf } from "./recipe.js";
import { said } from "./said.js";
import { t } from "./strings.js";

const FIRST = ["method", "max_steps", "epochs", "learning_rate"];
const GROUPS = ["run", "optimiser", "lora", "evaluation", "more"];
const FEW = 4;

/** What a row of a dataset says, turn by turn. */
function turns(row) {
  if (row === null || typeof row !== "object") return [String(row)];
  const listed = Object.values(row).find((value) => Array.isArray(value) && typeof value[0] === "object");
  if (listed) return listed.map((turn) => String(turn.value ?? turn.content ?? ""));
  return Object.values(row)
    .filter((value) => typeof value === "string" && value)
    .slice(0, 3);
}

function Preview({ dataset }) {
  return (
    <ul class="lw-preview" aria-label={t("preview")}>
      {dataset.preview.map((row, index) => (
        <li key={index}>
          {turns(row).map((text, turn) => (
            <p key={turn} data-turn={turn % 2 ? "answer" : "question"}>
              {text}
            </p>
          ))}
        </li>
      ))}
    </ul>
  );
}

/** How the answers sound: its first words and its last. */
function Manner({ manner }) {
  return Object.entries(manner).map(([name, text]) => (
    <span key={name} class="lw-tag">
      {name === "opens" || name === "closes" ? t(`manner_${name}`) : name} <q>{String(text)}</q>
    </span>
  ));
}

function Dataset({ dataset, page }) {
  const chosen = page.draft.value.dataset === dataset.name;
  const about = [
    dataset.rows !== null && t("rows", { n: count(dataset.rows) }),
    dataset.language,
    t(`dataset_${dataset.source === "sample" ? "sample" : "own"}`),
  ];
  return (
    <label class="lw-pick" data-chosen={chosen} data-bad={Boolean(dataset.problem)}>
      <input
        type="radio"
        name="dataset"
        checked={chosen}
        disabled={Boolean(dataset.problem)}
        onChange={() => page.choose({ dataset: dataset.name })}
      />
      <strong>{dataset.name}</strong>
      <small>{about.filter(Boolean).join(" · ")}</small>
      <span class="lw-pick-text">{said(dataset.description)}</span>
      {dataset.problem && <span class="lw-bad">{said(dataset.problem.message, dataset.problem.remedy)}</span>}
      {dataset.manner && Object.keys(dataset.manner).length > 0 && (
        <span class="lw-tags">
          <Manner manner={dataset.manner} />
        </span>
      )}
    </label>
  );
}

function Choice({ asked, value, onChange, label }) {
  const choices = asked.optional ? ["", ...asked.choices] : asked.choices;
  const named = (choice) => (choice === "" ? t("automatic") : String(choice));
  if (choices.length > FEW)
    return (
      <select class="lw-input" value={String(value ?? "")} onChange={(event) => onChange(event.currentTarget.value)}>
        {choices.map((choice) => (
          <option key={choice} value={String(choice)}>
            {named(choice)}
          </option>
        ))}
      </select>
    );
  return (
    <span class="lw-segments" role="radiogroup" aria-label={label}>
      {choices.map((choice) => (
        <label key={choice}>
          <input
            type="radio"
            name={`recipe-${asked.name}`}
            checked={String(value ?? "") === String(choice)}
            onChange={() => onChange(choice)}
          />
          <span>{named(choice)}</span>
        </label>
      ))}
    </span>
  );
}

/** A field of the recipe; what is wrong with it stands beneath. */
function Field({ asked, page }) {
  const { name, type } = asked;
  const value = page.draft.value.values[name];
  const problem = page.problem(name);
  const set = (written) => page.set(name, written);
  const onInput = (event) => set(event.currentTarget.value);
  const hint = useId();
  const common = {
    class: "lw-input",
    "aria-invalid": Boolean(problem),
    "aria-describedby": hint,
    spellcheck: false,
    onInput,
  };
  const head = (
    <span class="lw-field-head">
      {labelOf(asked)}
      {asked.unit && <span class="lw-unit">{t(`unit_${asked.unit}`)}</span>}
    </span>
  );
  const few = type === "choice" && asked.choices.length <= FEW;
  return (
    <div class="lw-field" data-type={type} data-idle={idle(asked, page.draft.value.values)}>
      {few && head}
      {few && <Choice asked={asked} value={value} onChange={set} label={labelOf(asked)} />}
      {!few && (
        // biome-ignore lint/a11y/noLabelWithoutControl: one of these four is in it
        <label class="lw-field">
          {head}
          {type === "choice" && <Choice asked={asked} value={value} onChange={set} />}
          {type === "mapping" && (
            <textarea {...common} rows={2} value={typeof value === "string" ? value : JSON.stringify(value ?? {})} />
          )}
          {(type === "integer" || type === "number") && (
            <input
              {...common}
              inputMode="decimal"
              value={value ?? ""}
              placeholder={asked.optional ? t("automatic") : ""}
            />
          )}
          {type === "text" && <input {...common} value={value ?? ""} />}
        </label>
      )}
      <small id={hint} class={problem ? "lw-bad" : ""} role={problem ? "alert" : undefined}>
        {problem ?? helpOf(asked)}
      </small>
    </div>
  );
}

function Fields({ fields, page }) {
  return (
    <div class="lw-fields">
      {fields.map((asked) => (
        <Field key={asked.name} asked={asked} page={page} />
      ))}
    </div>
  );
}

function More({ page, fields }) {
  const values = page.draft.value.values;
  const rest = fields.filter((asked) => !FIRST.includes(asked.name) && applies(asked, values));
  const bad = rest.some((asked) => page.problem(asked.name));
  return (
    <details class="lw-more" open={bad || undefined}>
      <summary>
        <Icon name="chevron" />
        {t("more_fields")}
      </summary>
      {GROUPS.map((group) => {
        const members = rest.filter((asked) => asked.group === group);
        return (
          members.length > 0 && (
            <section key={group}>
              <h4>{t(`group_${group}`)}</h4>
              <Fields fields={members} page={page} />
            </section>
          )
        );
      })}
    </details>
  );
}

function Presets({ page }) {
  const { presets } = page.form.value;
  const chosen = presets.find((preset) => preset.name === page.draft.value.preset);
  return (
    <div class="lw-presets">
      <span class="lw-segments" role="radiogroup" aria-label={t("preset")}>
        {presets.map((preset) => (
          <label key={preset.name}>
            <input type="radio" name="preset" checked={preset === chosen} onChange={() => page.usePreset(preset)} />
            <span>{labelOf(preset)}</span>
          </label>
        ))}
      </span>
      {chosen && <small>{helpOf(chosen)}</small>}
    </div>
  );
}

function Base({ page }) {
  const { bases, problem } = page.form.value;
  if (!bases.length) return <p class="lw-bad">{problem ? said(problem.message, problem.remedy) : t("base_none")}</p>;
  return (
    <span class="lw-tags" role="radiogroup" aria-label={t("base")}>
      {bases.map((base) => (
        <label key={base.id} class="lw-pick lw-pick-small" data-chosen={page.draft.value.base === base.id}>
          <input
            type="radio"
            name="base"
            checked={page.draft.value.base === base.id}
            onChange={() => page.choose({ base: base.id })}
          />
          <strong>{base.name}</strong>
          <small>{base.id}</small>
        </label>
      ))}
    </span>
  );
}

/** Whether fine-tunes can run here, and how far the installation of what they need is. */
function Environment({ page }) {
  const { state, detail, remedy, percent = 0 } = page.environment.value ?? {};
  if (!state || state === "ready") return null;
  const installing = state === "installing";
  return (
    <div class="lw-notice" data-bad={!installing} role="status">
      <Icon name={installing ? "download" : "alert"} />
      <div>
        <strong>
          {t(`environment_${state}`)}
          {installing && <span class="lw-number">{` · ${share(percent / 100)}`}</span>}
        </strong>
        <p>{said(detail, installing ? t("environment_queue") : remedy)}</p>
        {installing && (
          <progress class="lw-progress" value={percent} max={100} aria-label={t("environment_installing")} />
        )}
      </div>
    </div>
  );
}

function StartBar({ page }) {
  const { dataset, base } = page.draft.value;
  const { recipe, problems } = page.recipe.value;
  const wrong = Object.keys(problems).length;
  const state = page.environment.value?.state;
  const blocked = state === "missing" || state === "failed";
  const refused = page.refusal("");
  const length = recipe.max_steps
    ? t("length_steps", { n: count(recipe.max_steps) })
    : t("length_epochs", { n: count(recipe.epochs ?? 0) });
  return (
    <div class="lw-start">
      <p role="status">
        {refused || wrong ? (
          <span class="lw-bad">{refused ?? t("fields_wrong", { n: wrong })}</span>
        ) : (
          <span>{dataset && base ? `${dataset} → ${base} · ${recipe.method} · ${length}` : t("choose_first")}</span>
        )}
      </p>
      <button
        type="button"
        class="lw-primary"
        disabled={!dataset || !base || wrong > 0 || blocked || page.beginning.value}
        onClick={() => page.begin()}
      >
        {page.beginning.value ? t("starting") : t("start")}
      </button>
    </div>
  );
}

export function RecipeForm({ page }) {
  const { datasets, fields } = page.form.value;
  const dataset = page.dataset.value;
  const refused = page.refusal("dataset");
  return (
    <>
      <div class="lw-scroll">
        <div class="lw-sheet">
          <Environment page={page} />
          <section>
            <h3>{t("dataset")}</h3>
            {!datasets.length && <p class="lw-quiet">{t("dataset_none")}</p>}
            <div class="lw-picks" role="radiogroup" aria-label={t("dataset")}>
              {datasets.map((one) => (
                <Dataset key={one.name} dataset={one} page={page} />
              ))}
            </div>
            {refused && (
              <p class="lw-bad" role="alert">
                {refused}
              </p>
            )}
            {dataset && <Preview dataset={dataset} />}
          </section>
          <section>
            <h3>{t("base")}</h3>
            <Base page={page} />
          </section>
          <section>
            <h3>{t("recipe")}</h3>
            <Presets page={page} />
            <Fields fields={FIRST.map((name) => fields.find((asked) => asked.name === name))} page={page} />
            <More page={page} fields={fields} />
          </section>
        </div>
      </div>
      <StartBar page={page} />
    </>
  );
}
