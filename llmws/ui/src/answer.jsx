/** One message of the stream: what a person asked, or an answer with its reasoning, figures and what went wrong. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { count, exactTime, money, seconds, speed, tokensPerSecond } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { MarkdownView } from "./markdown-view.js";
import { textOf } from "./messages.js";
import { copyText } from "./page.js";
import { t } from "./strings.js";
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

function Figures({ message }) {
  const { model, usage, timing, cost, currency } = message;
  const rate = tokensPerSecond(message);
  const estimate = usage?.source === "estimate";
  const figures = [<span key="model">{model}</span>];
  if (usage) {
    const detail = t("figure_tokens_title", {
      input: count(usage.input_tokens ?? 0),
      output: count(usage.output_tokens ?? 0),
    });
    const tokens = t("figure_tokens", { n: `${estimate ? "≈" : ""}${count(usage.output_tokens ?? 0)}` });
    figures.push(
      <span key="tokens" title={estimate ? `${detail}\n${t("figure_estimate")}` : detail}>
        {tokens}
      </span>,
    );
  }
  if (timing?.first_token_s != null)
    figures.push(<span key="first">{t("figure_first", { s: seconds(timing.first_token_s) })}</span>);
  if (rate) figures.push(<span key="speed">{t("figure_speed", { n: speed(rate) })}</span>);
  if (cost != null && currency)
    figures.push(<span key="cost">{`${estimate ? "≈" : ""}${money(cost, currency)}`}</span>);
  else if (usage)
    figures.push(
      <span key="cost" title={t("figure_cost_title")}>
        {t("figure_cost_none")}
      </span>,
    );
  return <div class="lw-figures">{figures}</div>;
}

function CopyButton({ text }) {
  const copied = useSignal(false);
  const onClick = async () => {
    await copyText(text());
    copied.value = true;
    setTimeout(() => {
      copied.value = false;
    }, 1500);
  };
  return (
    <IconButton
      name={copied.value ? "check" : "copy"}
      label={t(copied.value ? "copied" : "copy_message")}
      onClick={onClick}
    />
  );
}

function Failure({ error, onRetry }) {
  return (
    <div class="lw-failure" role="alert">
      <Icon name="alert" />
      <div>
        <strong>{error.message || t("failed")}</strong>
        {error.remedy && <p>{error.remedy}</p>}
      </div>
      {onRetry && (
        <button type="button" class="lw-button" onClick={onRetry}>
          {t("retry")}
        </button>
      )}
    </div>
  );
}

const unusual = ["cancelled", "length", "content_filter", "interrupted"];

function Part({ part, message, last, done }) {
  switch (part.type) {
    case "reasoning":
      return part.text && <Reasoning text={part.text} thinking={!done && last} lasted={message.timing?.reasoning_s} />;
    case "text":
      return <Markdown text={part.text ?? ""} finished={done || !last} />;
    case "tool_call":
      return <p class="lw-quiet">{t("tool", { name: part.data?.name ?? "" })}</p>;
    case "warning":
      return <p class="lw-note">{part.text}</p>;
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
        <div class="lw-waiting" role="status" aria-label={t("waiting")}>
          <i />
          <i />
          <i />
        </div>
      )}
      {parts.map((part, index) => (
        <Part key={index} part={part} message={message} last={index === parts.length - 1} done={done} />
      ))}
      {message.error && <Failure error={message.error} onRetry={page.retry && (() => page.retry(row))} />}
      {!message.error && unusual.includes(message.finish_reason) && (
        <p class="lw-note">
          {t(`finish_${message.finish_reason}`)}
          {last && page.retry && message.finish_reason === "interrupted" && (
            <button type="button" class="lw-link" onClick={() => page.retry(row)}>
              {t("retry")}
            </button>
          )}
        </p>
      )}
      {/* Its room is kept while the answer grows, so that nothing moves when the figures arrive. */}
      <footer>
        {done && <Figures message={message} />}
        {done && textOf(message) && <CopyButton text={() => textOf(message)} />}
      </footer>
    </article>
  );
}

export function Row({ row, page, last }) {
  const message = row.message.value;
  if (message.role !== "user") return <Answer row={row} page={page} last={last} />;
  return (
    <article class="lw-asked" aria-label={t("you")}>
      <div class="lw-bubble" title={exactTime(row.at)}>
        {textOf(message)}
      </div>
    </article>
  );
}
