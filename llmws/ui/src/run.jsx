/** A fine-tune that runs or ran: how far, how well, what it printed, and what can be done with it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { CopyButton } from "./copy-button.jsx";
import { CurvePlot } from "./curve-plot.jsx";
import { useEnd } from "./end.js";
import { isLive, stateOf } from "./finetunes.js";
import { count, duration, exactTime, loss, relativeTime } from "./format.js";
import { Icon } from "./icons.jsx";
import { said } from "./said.js";
import { t } from "./strings.js";

export function State({ job }) {
  const state = stateOf(job);
  return (
    <span class="lw-state" data-state={state}>
      <span class="lw-dot" data-state={state} />
      {t(`state_${state}`)}
    </span>
  );
}

function Figure({ label, children, title }) {
  return (
    <div class="lw-figure" title={title}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Seconds since the run began, counted on while it goes on. */
function Elapsed({ job }) {
  const now = useSignal(Date.now() / 1000);
  const live = isLive(job);
  useEffect(() => {
    if (!live) return;
    const timer = setInterval(() => {
      now.value = Date.now() / 1000;
    }, 1000);
    return () => clearInterval(timer);
  }, [live]);
  return duration(Math.max(0, (job.ended_at ?? now.value) - job.started_at));
}

function Progress({ page, job }) {
  const { remaining_s: left, tokens_per_s: rate } = page.figures.value;
  const live = isLive(job);
  const share = job.total_steps ? Math.min(1, (job.step ?? 0) / job.total_steps) : null;
  return (
    <section class="lw-card lw-progress-card" aria-label={t("progress")}>
      {share === null ? (
        <progress
          class="lw-progress"
          data-state={stateOf(job)}
          aria-label={t("progress")}
          {...(live ? {} : { value: 0 })}
        />
      ) : (
        <progress class="lw-progress" data-state={stateOf(job)} value={share} aria-label={t("progress")} />
      )}
      <dl class="lw-figure-row">
        <Figure label={t("figure_step")}>
          {job.step == null ? "–" : count(job.step)}
          {job.total_steps ? <small>{` / ${count(job.total_steps)}`}</small> : null}
        </Figure>
        <Figure label={t("loss")}>{job.loss == null ? "–" : loss(job.loss)}</Figure>
        <Figure label={t("figure_elapsed")}>{job.started_at ? <Elapsed job={job} /> : "–"}</Figure>
        {live && <Figure label={t("figure_left")}>{left == null || !job.step ? "–" : `≈ ${duration(left)}`}</Figure>}
        {rate != null && <Figure label={t("figure_rate")}>{t("figure_speed", { n: count(Math.round(rate)) })}</Figure>}
      </dl>
    </section>
  );
}

/** Why the run is as it is, and what helps. */
function Why({ job }) {
  if (!job.reason || job.state === "finished") return null;
  const bad = job.state === "failed" || job.state === "interrupted";
  return (
    <div class="lw-notice" data-bad={bad} role={bad ? "alert" : "status"}>
      <Icon name={bad ? "alert" : "clock"} />
      <div>
        <strong>{said(job.reason)}</strong>
        {job.remedy && <p>{said(job.remedy)}</p>}
      </div>
    </div>
  );
}

function Model({ page, job }) {
  const line = `client.chat("…", model=${JSON.stringify(job.model)})`;
  return (
    <section class="lw-card lw-served">
      <div>
        <h3>{t("served", { model: job.model })}</h3>
        <p class="lw-quiet lw-code-line">
          <code>{line}</code>
          <CopyButton label={t("copy")} text={() => line} />
        </p>
      </div>
      <button type="button" class="lw-primary" onClick={() => page.talkTo(job.model)}>
        {t("talk")}
      </button>
    </section>
  );
}

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, "g");

/** A log as a terminal would show it: without colours, and without what was written over. */
const printed = (text) =>
  text
    .replace(ESCAPES, "")
    .replace(/[^\n]*\r(?!\n|$)/g, "")
    .replaceAll("\r", "");

function Log({ page }) {
  const { box, inner, behind, toEnd, on } = useEnd(24);
  const text = printed(page.log.value);
  return (
    <section class="lw-card lw-output">
      <header>
        <h3>{t("log")}</h3>
        {behind.value && (
          <button type="button" class="lw-link" onClick={toEnd}>
            {t("latest")}
          </button>
        )}
        <CopyButton label={t("copy_log")} text={() => text} />
      </header>
      <div class="lw-output-text" ref={box} {...on} tabIndex={0} role="log" aria-label={t("log")} aria-live="off">
        <pre ref={inner}>{text || t("log_empty")}</pre>
      </div>
    </section>
  );
}

const ENDED = ["finished", "stopped", "failed", "interrupted"];

/** `told` says that its reason stands above already. */
function Event({ event, told }) {
  const what = [
    t(`state_${event.state}`),
    event.step != null && ENDED.includes(event.state) && t("step", { n: count(event.step) }),
    event.attempts > 1 && t("attempt", { n: event.attempts }),
    event.round > 1 && t("round", { n: event.round }),
  ];
  return (
    <li>
      <span class="lw-dot" data-state={event.state} />
      <span>{what.filter(Boolean).join(" · ")}</span>
      {event.at && <time title={exactTime(event.at)}>{relativeTime(event.at)}</time>}
      {event.reason && !told && <small>{said(event.reason)}</small>}
    </li>
  );
}

function History({ page, job }) {
  const { recipe } = job;
  const history = page.history.value;
  const facts = [
    [t("dataset"), job.dataset],
    [t("base"), job.base],
    [t("method"), recipe.method],
    [t("checkpoints"), t("checkpoints_every", { n: count(recipe.save_steps ?? 0) })],
    [t("folder"), job.folder],
  ];
  return (
    <section class="lw-card lw-about">
      <h3>{t("about_run")}</h3>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <ul class="lw-events" aria-label={t("history")}>
        {history.map((event, index) => (
          <Event key={index} event={event} told={index === history.length - 1} />
        ))}
      </ul>
    </section>
  );
}

/** What a person would do next with the run. */
export function Actions({ page, job }) {
  const state = stateOf(job);
  const servable = job.state === "finished" || job.state === "stopped";
  const serving = page.serving.value.has(job.id);
  return (
    <>
      {isLive(job) && (
        <button type="button" class="lw-button" disabled={state === "stopping"} onClick={() => page.stop(job)}>
          {t(state === "stopping" ? "state_stopping" : "stop")}
        </button>
      )}
      {job.resumable && (
        <button
          type="button"
          class={servable ? "lw-button" : "lw-primary"}
          disabled={serving}
          onClick={() => page.resume(job)}
        >
          {t("resume")}
        </button>
      )}
      {servable && !job.model && (
        <button type="button" class="lw-primary" disabled={serving} onClick={() => page.serve(job)}>
          {serving && <span class="lw-pulse" />}
          {t(serving ? "serving" : "serve")}
        </button>
      )}
    </>
  );
}

/** Told to those who listen, seldom: not each step. */
function Announcement({ job }) {
  return (
    <p class="lw-hidden" role="status">
      {`${job.name}: ${t(`state_${stateOf(job)}`)}`}
    </p>
  );
}

export function Run({ page, theme }) {
  const job = page.open.value;
  const top = useRef();
  return (
    <div class="lw-scroll" ref={top}>
      <div class="lw-sheet lw-run">
        <Announcement job={job} />
        <Why job={job} />
        {job.model && <Model page={page} job={job} />}
        <Progress page={page} job={job} />
        <CurvePlot curve={page.curve.value} version={page.version.value} theme={theme.value} />
        <div class="lw-two">
          <Log page={page} key={page.place.value} />
          <History page={page} job={job} />
        </div>
      </div>
    </div>
  );
}
