/** Assistants: cards to begin with, a part of the model picker, and the dialog that makes and changes one. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { given } from "./assistants.js";
import { Dialog } from "./dialog.jsx";
import { Field } from "./field.jsx";
import { count } from "./format.js";
import { Icon } from "./icons.jsx";
import { said } from "./said.js";
import { Select } from "./segments.jsx";
import { t } from "./sharing-strings.js";
import { Menu } from "./shell.jsx";
import "./assistants.css";

const SHOWN = 6;

/** What the header's menu offers: keep what is set now under a name. */
export const assistantItem = (page) => ["assistant", t("assistant_new"), () => page.assistants.edit()];

function about(assistant) {
  if (assistant.problem) return said(assistant.problem);
  const owner = assistant.mine ? "" : t("assistant_of", { owner: assistant.owner });
  return [assistant.description || assistant.model, owner].filter(Boolean).join(" · ");
}

function Card({ assistant, page }) {
  const { assistants, sharing } = page;
  const chosen = assistants.chosen.value?.id === assistant.id;
  return (
    <li class="lw-assistant" data-chosen={chosen}>
      <button
        type="button"
        aria-pressed={chosen}
        disabled={Boolean(assistant.problem)}
        title={assistant.problem ? said(assistant.problem) : assistant.model}
        onClick={() => assistants.choose(chosen ? null : assistant)}
      >
        <strong>{assistant.name}</strong>
        <span>{about(assistant)}</span>
      </button>
      {assistant.mine && (
        <Menu
          label={t("assistant_actions", { name: assistant.name })}
          items={[
            ["pencil", t("assistant_open"), () => assistants.edit(assistant)],
            ["share", t("share_open"), () => sharing.open("assistants", assistant)],
            ["trash", t("delete"), () => assistants.remove(assistant)],
          ]}
        />
      )}
    </li>
  );
}

/** What a new conversation can begin with; nothing where there are none. */
export function AssistantCards({ page }) {
  const { all } = page.assistants;
  const everything = useSignal(false);
  if (!all.value.length) return null;
  const shown = everything.value ? all.value : all.value.slice(0, SHOWN);
  return (
    <section class="lw-assistants" aria-label={t("assistants")}>
      <h3>{t("assistants")}</h3>
      <ul>
        {shown.map((assistant) => (
          <Card key={assistant.id} assistant={assistant} page={page} />
        ))}
      </ul>
      {shown.length < all.value.length && (
        <button
          type="button"
          class="lw-link"
          onClick={() => {
            everything.value = true;
          }}
        >
          {t("assistants_all", { n: all.value.length })}
        </button>
      )}
    </section>
  );
}

/** In the header: whom the conversation was begun with, or will be. */
export function AssistantTag({ page }) {
  const assistant = page.assistants.chosen.value;
  if (!assistant) return null;
  return (
    <span class="lw-tag lw-head-tag" title={about(assistant)}>
      <Icon name="assistant" />
      <span>{assistant.name}</span>
    </span>
  );
}

/** The same in the model picker, while a conversation is new. */
export function AssistantOptions({ page, onClose }) {
  const { assistants } = page;
  const chosen = assistants.chosen.value;
  if (page.open.value || !assistants.all.value.length) return null;
  const pick = (assistant) => {
    assistants.choose(assistant);
    onClose();
  };
  return (
    <div class="lw-options lw-assistant-options" role="listbox" aria-label={t("assistants")}>
      <small>{t("assistants")}</small>
      {chosen && (
        <button type="button" role="option" class="lw-option" aria-selected="false" onClick={() => pick(null)}>
          <Icon name="close" />
          <span class="lw-option-text">{t("assistant_none")}</span>
        </button>
      )}
      {assistants.all.value.map((assistant) => (
        <button
          key={assistant.id}
          type="button"
          role="option"
          class="lw-option"
          aria-selected={assistant.id === chosen?.id}
          disabled={Boolean(assistant.problem)}
          onClick={() => pick(assistant)}
        >
          <Icon name="assistant" />
          <span class="lw-option-text">
            <span>{assistant.name}</span>
            <small>{about(assistant)}</small>
          </span>
          {assistant.id === chosen?.id && <Icon name="check" />}
        </button>
      ))}
    </div>
  );
}

function parametersTold(parameters) {
  const { temperature, max_tokens, ...others } = given(parameters);
  const told = [
    temperature !== undefined && t("temperature_is", { n: temperature }),
    max_tokens !== undefined && t("tokens_at_most", { n: count(max_tokens) }),
    ...Object.keys(others),
  ];
  return told.filter(Boolean).join(" · ") || t("assistant_parameters_none");
}

/** Make an assistant of what is set now, or change one. */
export function AssistantDialog({ page }) {
  const edited = page.assistants.editing.value;
  // A form of its own for each: what was typed for another is not for this one.
  return edited && <AssistantForm key={edited.id ?? edited.key} edited={edited} page={page} />;
}

function AssistantForm({ edited, page }) {
  const form = useRef();
  const busy = useSignal(false);
  const problem = useSignal(null);
  const model = useSignal(edited.model);
  const models = page.models.value.map((one) => one.id);
  const choices = !model.value || models.includes(model.value) ? models : [model.value, ...models];
  const close = () => {
    page.assistants.editing.value = null;
  };
  const onSubmit = async (event) => {
    event.preventDefault();
    const data = new FormData(form.current);
    const told = (name) => data.get(name).trim();
    busy.value = true;
    const values = { name: told("name"), description: told("description"), system: told("system"), model: model.value };
    problem.value = await page.assistants.save({ ...edited, ...values });
    busy.value = false;
  };
  return (
    <Dialog title={t(edited.id ? "assistant_edit" : "assistant_new")} onClose={close}>
      <form ref={form} class="lw-form" onSubmit={onSubmit}>
        <Field label={t("assistant_name")} name="name" required maxLength={100} defaultValue={edited.name} autofocus />
        <Field
          label={t("assistant_description")}
          name="description"
          maxLength={1000}
          defaultValue={edited.description}
        />
        <label class="lw-field">
          <span class="lw-field-head">{t("assistant_prompt")}</span>
          <textarea
            class="lw-input"
            name="system"
            rows={6}
            defaultValue={edited.system}
            placeholder={t("assistant_prompt_hint")}
          />
        </label>
        <div class="lw-field">
          <span class="lw-field-head">{t("model")}</span>
          <Select
            label={t("model")}
            choices={choices}
            value={model.value}
            says={(id) => page.models.value.find((one) => one.id === id)?.name || id}
            onChange={(id) => {
              model.value = id;
            }}
          />
        </div>
        <p class="lw-quiet">{t("assistant_parameters", { told: parametersTold(edited.parameters) })}</p>
        <p class="lw-quiet">{t("assistant_hint")}</p>
        {problem.value && (
          <p class="lw-bad" role="alert">
            {said(problem.value.message, problem.value.remedy)}
          </p>
        )}
        <div class="lw-dialog-bar">
          <button type="button" class="lw-button" onClick={close}>
            {t("cancel")}
          </button>
          <button type="submit" class="lw-primary" disabled={busy.value || !model.value}>
            {t("save")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
