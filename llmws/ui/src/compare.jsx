/** The compare page: one question, and a column for each answer; figures below, earlier comparisons in a drawer. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Answer } from "./answer.jsx";
import { Comparisons } from "./comparisons.js";
import { Scrim } from "./cover.jsx";
import { useEnd } from "./end.js";
import { count, exactTime, money, relativeTime, seconds, speed, tokensPerSecond } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { ModelList } from "./model-list.jsx";
import { ParametersForm } from "./parameters.jsx";
import { Popover, walk } from "./popover.jsx";
import { PromptText, useDraft } from "./prompt.jsx";
import { said } from "./said.js";
import { SendButton, useSending } from "./sending.jsx";
import { Away, Home, Menu, mount, Toasts } from "./shell.jsx";
import { t } from "./strings.js";
import "./composer.css";
import "./sheet.css";
import "./compare.css";

function Entry({ comparison, page, onPick }) {
  const current = comparison.id === page.open.value?.id;
  return (
    <li class="lw-entry" data-current={current}>
      <button
        type="button"
        class="lw-entry-open lw-comparison-entry"
        title={`${comparison.prompt}\n${exactTime(comparison.created_at)}`}
        aria-current={current ? "true" : undefined}
        onClick={() => onPick(comparison.id)}
      >
        <span class="lw-entry-title">{comparison.prompt}</span>
        <small>{`${relativeTime(comparison.created_at)} · ${comparison.models.join(", ")}`}</small>
      </button>
    </li>
  );
}

function Side({ page, onClose }) {
  const earlier = page.earlier.value;
  const onPick = (id) => {
    page.show(id);
    onClose();
  };
  return (
    <nav class="lw-side" aria-label={t("comparisons")}>
      <div class="lw-side-head">
        <button
          type="button"
          class="lw-new"
          onClick={() => {
            page.startNew();
            onClose();
          }}
        >
          <Icon name="plus" />
          {t("new_comparison")}
        </button>
        <IconButton name="close" label={t("close")} onClick={onClose} />
      </div>
      <div class="lw-side-list" onKeyDown={walk(".lw-entry-open")}>
        {!earlier.length && !page.loading.value && <p class="lw-quiet lw-side-empty">{t("comparisons_empty")}</p>}
        <ul>
          {earlier.map((one) => (
            <Entry key={one.id} comparison={one} page={page} onPick={onPick} />
          ))}
        </ul>
        {page.moreEarlier.value && (
          <button type="button" class="lw-link" onClick={() => page.showMore()}>
            {t("older_chats")}
          </button>
        )}
      </div>
    </nav>
  );
}

function Header({ page, drawer, onLanguage }) {
  return (
    <header class="lw-head">
      <Home />
      <IconButton
        name="menu"
        label={t("show_comparisons")}
        aria-expanded={drawer.value}
        onClick={() => {
          drawer.value = true;
        }}
      />
      <h2 title={page.open.value?.prompt}>{page.open.value?.prompt ?? t("new_comparison")}</h2>
      <Menu
        label={t("comparison_actions")}
        items={[
          page.open.value && ["plus", t("new_comparison"), () => page.startNew()],
          ["globe", t("language"), onLanguage],
        ]}
      />
    </header>
  );
}

/** What to call each column: the model's name, numbered where it stands there more than once. */
function titles(page) {
  const seen = new Map();
  const all = page.columns.value.map((column) => column.model);
  return all.map((model) => {
    const number = (seen.get(model) ?? 0) + 1;
    seen.set(model, number);
    const name = page.nameOf(model);
    return all.filter((one) => one === model).length > 1 ? `${name} · ${number}` : name;
  });
}

function Column({ column, title, page }) {
  const running = !column.message.value.finish_reason;
  const { box, inner, on } = useEnd(48, running);
  return (
    <section class="lw-column" aria-label={title}>
      <header>
        <h3 title={column.model}>{title}</h3>
        {running && (
          <IconButton
            name="stop"
            label={t("stop_model", { model: title })}
            disabled={!column.generation}
            onClick={() => page.stop(column)}
          />
        )}
      </header>
      <div class="lw-column-text" ref={box} {...on} tabIndex={0} role="log" aria-label={title}>
        <div ref={inner}>
          <Answer row={column} page={page} />
        </div>
      </div>
    </section>
  );
}

function Cost({ message: { cost, currency, usage } }) {
  if (cost != null && currency) return money(cost, currency);
  return usage ? <span title={t("figure_cost_title")}>{t("figure_cost_none")}</span> : "–";
}

function Figures({ page }) {
  const names = titles(page);
  const told = (value, format) => (value == null ? "–" : format(value));
  return (
    <table class="lw-table" aria-label={t("figures")}>
      <thead>
        <tr>
          <th scope="col">{t("model")}</th>
          <th scope="col">{t("table_first")}</th>
          <th scope="col">{t("table_speed")}</th>
          <th scope="col">{t("table_tokens")}</th>
          <th scope="col">{t("table_cost")}</th>
        </tr>
      </thead>
      <tbody>
        {page.columns.value.map((column, index) => {
          const message = column.message.value;
          const tokens = message.usage?.output_tokens;
          const mark = message.usage?.source === "estimate" ? "≈" : "";
          return (
            <tr key={column.key}>
              <th scope="row">{names[index]}</th>
              <td>{told(message.timing?.first_token_s, seconds)}</td>
              <td>{told(tokensPerSecond(message), speed)}</td>
              <td>{told(tokens, (value) => `${mark}${count(value)}`)}</td>
              <td>
                <Cost message={message} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Body({ page }) {
  const columns = page.columns.value;
  const names = titles(page);
  const strip = useRef();
  useLayoutEffect(() => strip.current?.scrollTo({ left: 0 }), [page.place.value]);
  if (page.loading.value && !columns.length)
    return (
      <div class="lw-compared">
        <div class="lw-skeleton" role="status" aria-label={t("loading")} />
      </div>
    );
  if (!columns.length)
    return (
      <div class="lw-compared lw-empty">
        <h2>{t("compare_empty")}</h2>
        <p class="lw-quiet">{t(page.models.value.length ? "compare_hint" : "model_none_hint")}</p>
      </div>
    );
  return (
    <div class="lw-compared">
      <section class="lw-columns" ref={strip} aria-label={t("answers")} tabIndex={0}>
        {columns.map((column, index) => (
          <Column key={column.key} column={column} title={names[index]} page={page} />
        ))}
      </section>
      <div class="lw-table-box">
        <Figures page={page} />
      </div>
    </div>
  );
}

function Chip({ id, index, page }) {
  const model = page.models.value.find((one) => one.id === id);
  const name = model?.name || id;
  return (
    <li class="lw-chip" title={said(model?.reason) || id}>
      <span class="lw-dot" data-state={model?.state ?? "missing"} />
      <span>{name}</span>
      <button
        type="button"
        aria-label={t("remove_model", { model: name })}
        title={t("remove_model", { model: name })}
        onClick={() => page.remove(index)}
      >
        <Icon name="close" />
      </button>
    </li>
  );
}

function Picker({ page, onClose }) {
  const onPick = (id) => {
    page.add(id);
    onClose();
  };
  return (
    <Popover label={t("add_model")} onClose={onClose}>
      <ModelList
        label={t("add_model")}
        models={page.models.value}
        isChosen={(id) => page.chosen.value.includes(id)}
        onPick={onPick}
      />
    </Popover>
  );
}

function Composer({ page }) {
  const text = useSignal("");
  useDraft("comparison", text);
  const panel = useSignal(null);
  const input = useRef();
  const { parameters, system } = page.settings.value;
  const changed = Object.values(parameters).some((value) => value != null) || Boolean(system);
  const few = page.chosen.value.length < 2;
  useEffect(() => {
    if (!page.returned.value) return;
    // The next question may have been begun meanwhile.
    text.value = [page.returned.value, text.value].filter(Boolean).join("\n\n");
    page.returned.value = "";
  }, [page.returned.value]);
  const written = text.value.trim();
  const sending = useSending({
    text,
    place: page.place.value,
    able: written && page.ready.value,
    coming: written && page.loading.value,
    send: () => {
      text.value = "";
      page.send(written);
    },
  });
  const toggle = (name) => () => {
    panel.value = panel.value === name ? null : name;
  };
  const close = () => {
    panel.value = null;
  };
  return (
    <div class="lw-composer">
      {panel.value === "models" && <Picker page={page} onClose={close} />}
      {panel.value === "parameters" && <ParametersForm page={page} onClose={close} />}
      <PromptText text={text} input={input} hint={t("ask_all")} onSend={sending.send} />
      <div class="lw-composer-bar">
        <ul class="lw-chips" aria-label={t("model")}>
          {page.chosen.value.map((id, index) => (
            <Chip key={`${index} ${id}`} id={id} index={index} page={page} />
          ))}
          <li>
            <IconButton
              name="plus"
              label={t("add_model")}
              aria-haspopup="dialog"
              aria-expanded={panel.value === "models"}
              onClick={toggle("models")}
            />
          </li>
          {few && !page.loading.value && <li class="lw-quiet">{t("compare_few")}</li>}
        </ul>
        <IconButton
          name="sliders"
          label={t("parameters")}
          aria-haspopup="dialog"
          aria-expanded={panel.value === "parameters"}
          data-changed={changed}
          onClick={toggle("parameters")}
        />
        <SendButton
          sending={sending}
          stop={page.running.value && { label: t("stop_all"), act: () => page.stopAll() }}
        />
      </div>
    </div>
  );
}

function Page({ page, onLanguage }) {
  const drawer = useSignal(false);
  const close = () => {
    drawer.value = false;
  };
  const onKeyDown = (event) => {
    // What is typed here is no business of the notebook.
    event.stopPropagation();
    if (event.key !== "Escape") return;
    if (drawer.value) close();
    else if (page.running.value) page.stopAll();
  };
  return (
    <div class="lw-page lw-compare" data-drawer={drawer.value} data-lm-suppress-shortcuts="true" onKeyDown={onKeyDown}>
      <Side page={page} onClose={close} />
      <Scrim open={drawer.value} onClose={close} />
      <main class="lw-main">
        <Header page={page} drawer={drawer} onLanguage={onLanguage} />
        <Away page={page} />
        <Body page={page} />
        <Toasts page={page} />
        <Composer page={page} />
      </main>
    </div>
  );
}

export default mount(Comparisons, Page);
