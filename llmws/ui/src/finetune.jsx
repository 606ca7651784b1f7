/** The fine-tune page: earlier runs at the left; in the middle the form for a new one, or the run that is shown. */
import { useSignal } from "@preact/signals";
import { Scrim } from "./cover.jsx";
import { FineTunes, isLive, stateOf } from "./finetunes.js";
import { exactTime, loss, relativeTime } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { walk } from "./popover.jsx";
import { RecipeForm } from "./recipe-form.jsx";
import { Actions, Run, State } from "./run.jsx";
import { Away, Home, Menu, mount, Toasts } from "./shell.jsx";
import { t } from "./strings.js";
import { Talk } from "./talk.jsx";
import "./sheet.css";
import "./finetune.css";

function Entry({ job, page, onPick }) {
  const current = job.id === page.open.value?.id;
  const state = stateOf(job);
  return (
    <li class="lw-entry" data-current={current}>
      <button
        type="button"
        class="lw-entry-open lw-run-entry"
        title={`${job.name}\n${exactTime(job.created_at)}`}
        aria-current={current ? "true" : undefined}
        onClick={() => onPick(job.id)}
      >
        <span class="lw-dot" data-state={state} />
        <span class="lw-entry-title">{job.name}</span>
        <small>{job.loss == null ? "" : loss(job.loss)}</small>
        <small class="lw-entry-about">{`${t(`state_${state}`)} · ${relativeTime(job.created_at)}`}</small>
      </button>
    </li>
  );
}

function Side({ page, onClose }) {
  const jobs = page.jobs.value;
  const onPick = (id) => {
    page.show(id);
    onClose();
  };
  return (
    <nav class="lw-side" aria-label={t("runs")}>
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
          {t("new_run")}
        </button>
        <IconButton name="close" label={t("close")} onClick={onClose} data-narrow />
      </div>
      <div class="lw-side-list" onKeyDown={walk(".lw-entry-open")}>
        {!jobs.length && !page.loading.value && <p class="lw-quiet lw-side-empty">{t("runs_empty")}</p>}
        <ul>
          {jobs.map((job) => (
            <Entry key={job.id} job={job} page={page} onPick={onPick} />
          ))}
        </ul>
        {page.moreJobs.value && (
          <button type="button" class="lw-link" onClick={() => page.showMore()}>
            {t("older_chats")}
          </button>
        )}
      </div>
    </nav>
  );
}

function Header({ page, drawer, onLanguage }) {
  const job = page.open.value;
  return (
    <header class="lw-head">
      <Home />
      <IconButton
        name="menu"
        label={t("menu_runs")}
        aria-expanded={drawer.value}
        data-narrow
        onClick={() => {
          drawer.value = true;
        }}
      />
      <h2 title={job?.name}>{job ? job.name : t("new_run")}</h2>
      {job && <State job={job} />}
      <span class="lw-head-actions">{job && <Actions page={page} job={job} />}</span>
      <Menu
        label={t("run_actions")}
        items={[
          job && ["copy", t("use_again"), () => page.useAgain(job)],
          job && !isLive(job) && ["trash", t("delete"), () => page.remove(job)],
          ["globe", t("language"), onLanguage],
        ]}
      />
    </header>
  );
}

function Body({ page, theme }) {
  if (!page.form.value || (page.loading.value && !page.open.value))
    return (
      <div class="lw-scroll">
        <div class="lw-sheet">
          <div class="lw-skeleton" role="status" aria-label={t("loading")} />
        </div>
      </div>
    );
  return page.open.value ? <Run page={page} theme={theme} key={page.open.value.id} /> : <RecipeForm page={page} />;
}

function Page({ page, theme, onLanguage }) {
  const drawer = useSignal(false);
  const close = () => {
    drawer.value = false;
  };
  const onKeyDown = (event) => {
    // What is typed here is no business of the notebook.
    event.stopPropagation();
    if (event.key === "Escape") close();
  };
  return (
    <div class="lw-page lw-finetune" data-drawer={drawer.value} data-lm-suppress-shortcuts="true" onKeyDown={onKeyDown}>
      <Side page={page} onClose={close} />
      <Scrim open={drawer.value} onClose={close} />
      <main class="lw-main">
        <Header page={page} drawer={drawer} onLanguage={onLanguage} />
        <Away page={page} />
        <Body page={page} theme={theme} />
        <Toasts page={page} />
      </main>
      {page.talk.value && <Talk page={page} from={page.open.value?.name ?? ""} key={page.talk.value} />}
    </div>
  );
}

export default mount(FineTunes, Page);
