/** One message of the stream: what a person asked, or an answer with its reasoning, figures and what went wrong. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { AttachedParts } from "./attachments.jsx";
import { Figures } from "./figures.jsx";
import { exactTime, seconds } from "./format.js";
import { Icon } from "./icons.jsx";
import { MarkdownView } from "./markdown-view.js";
import { textOf } from "./messages.js";
import { said } from "./said.js";
import { t } from "./strings.js";
import { Resend, ToolCall } from "./tool-calls.jsx";
import { AnswerActions, AskedActions, EditBox, GoOn } from "./turn-actions.jsx";
import "./answer.css";

function Markdown({ text, finished }) {
  const box = useRef();
  const view = useRef();
  useLayoutEffect(() => {
    view.current = new MarkdownView(box.current);
    return () => view.current.stop();
  }, []);
  useLayoutEffect(() => view.current.show(text, finished), [text, finished]);
  return <div class="lw-markdown" ref={box} />;
}

/** Open while the model thinks, folded when it begins to answer, unless a person decided otherwise. */
function Reasoning({ text, thinking, lasted }) {
  const touched = useSignal(false);
  const open = useSignal(thinking);
  const began = useRef(performance.now());
  const spent = useSignal(null);
  const body = useRef();
  useEffect(() => {
    if (!thinking) return;
    const timer = setInterval(() => {
      spent.value = (performance.now() - began.current) / 1000;
    }, 1000);
    return () => {
      clearInterval(timer);
      spent.value = (performance.now() - began.current) / 1000;
      if (!touched.value) open.value = false;
    };
  }, [thinking]);
  useLayoutEffect(() => {
    if (thinking && body.current && !touched.value) body.current.scrollTop = body.current.scrollHeight;
  });
  const time = lasted ?? spent.value;
  const told = time === null ? t("thought") : t("thought_for", { s: seconds(time) });
  const toggle = (event) => {
    event.preventDefault();
    touched.value = true;
    open.value = !open.value;
  };
  return (
    <details class="lw-reasoning" open={open.value} data-thinking={thinking}>
      <summary onClick={toggle}>
        <Icon name="thought" />
        {thinking ? `${t("thinking")}${spent.value > 1 ? ` · ${seconds(Math.round(spent.value))}` : "…"}` : told}
        <Icon name="chevron" />
      </summary>
      <div class="lw-reasoning-text" ref={body}>
        {text}
      </div>
    </details>
  );
}

function Failure({ error, busy, onRetry, children }) {
  return (
    <div class="lw-failure" role="alert">
      <Icon name="alert" />
      <div>
        <strong>{said(error.message) || t("failed")}</strong>
        {error.remedy && <p>{said(error.remedy)}</p>}
      </div>
      {onRetry && (
        <button type="button" class="lw-button" disabled={busy} onClick={onRetry}>
          {t("retry")}
        </button>
      )}
      {children}
    </div>
  );
}

/** Whether a part is something that was asked for, and not on the way there or beside it. */
const answers = ({ type, text }) => (type === "text" ? text?.trim() : !["reasoning", "warning"].includes(type));

const unusual = ["cancelled", "length", "content_filter", "interrupted"];

function Part({ part, row, page, message, last, end, done }) {
  switch (part.type) {
    case "reasoning":
      return part.text && <Reasoning text={part.text} thinking={!done && last} lasted={message.timing?.reasoning_s} />;
    case "text":
      return <Markdown text={part.text ?? ""} finished={done || !last} />;
    case "tool_call":
      return <ToolCall part={part} row={row} page={page} last={end} />;
    case "warning":
      return <p class="lw-note">{said(part.text)}</p>;
    case "citation":
      return (
        <a
          class="lw-citation"
          href={/^https?:\/\//i.test(part.data?.url) ? part.data.url : undefined}
          target="_blank"
          rel="noopener noreferrer nofollow"
        >
          {part.data?.title || part.data?.url}
        </a>
      );
    default:
      return null;
  }
}

/** An answer as it grows; a `page` that cannot ask again has no `retry`. */
export function Answer({ row, page, last }) {
  const message = row.message.value;
  const parts = message.parts ?? [];
  const done = Boolean(message.finish_reason);
  return (
    <article class="lw-answer" data-running={!done} aria-label={t("answer")}>
      {!done && !parts.length && (
        <div class="lw-waiting" role="status">
          <i />
          <i />
          <i />
          <span>{t("waiting")}</span>
        </div>
      )}
      {parts.map((part, index) => (
        <Part
          key={index}
          part={part}
          row={row}
          page={page}
          message={message}
          last={index === parts.length - 1}
          end={last}
          done={done}
        />
      ))}
      <Resend row={row} page={page} last={last} />
      {message.error && (
        <Failure error={message.error} busy={page.running?.value} onRetry={page.retry && (() => page.retry(row))}>
          <GoOn row={row} page={page} last={last} />
        </Failure>
      )}
      {!message.error && unusual.includes(message.finish_reason) && (
        <p class="lw-note">
          {t(`finish_${message.finish_reason}`)}
          <GoOn row={row} page={page} last={last} />
        </p>
      )}
      {message.finish_reason === "stop" && !message.error && !parts.some(answers) && (
        <p class="lw-note">{t("finish_empty")}</p>
      )}
      {/* Its room is kept while the answer grows, so that nothing moves when the figures arrive. */}
      <footer>
        {done && <Figures message={message} />}
        {done && <AnswerActions row={row} page={page} last={last} />}
      </footer>
    </article>
  );
}

export function Row({ row, page, last }) {
  const message = row.message.value;
  // What came of a call is shown where it was made.
  if (message.role === "tool") return null;
  if (message.role !== "user") return <Answer row={row} page={page} last={last} />;
  return (
    <article class="lw-asked" aria-label={t("you")}>
      <AttachedParts message={message} page={page} />
      {page.turns?.editing.value?.row === row ? (
        <EditBox page={page} />
      ) : (
        <>
          {textOf(message) && (
            <div class="lw-bubble" title={exactTime(row.at)}>
              {textOf(message)}
            </div>
          )}
          <AskedActions row={row} page={page} />
        </>
      )}
    </article>
  );
}
