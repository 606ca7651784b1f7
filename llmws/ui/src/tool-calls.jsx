/** A function that a model called: what it asks for, a person's decision, and what came of it. */
import { useSignal } from "@preact/signals";
import { Icon } from "./icons.jsx";
import { t } from "./input-strings.js";
import "./tool-calls.css";

const LABELS = {
  denied: "tool_denied",
  done: "tool_finished",
  failed: "tool_failed",
  running: "tool_running",
  unrun: "tool_unrun",
  waiting: "tool_waiting",
  written: "tool_running",
};

/** Arguments as a person reads them: JSON with a line for each, or else just what the model wrote. */
function pretty(given) {
  try {
    return JSON.stringify(JSON.parse(given), null, 2);
  } catch {
    return given;
  }
}

function Decision({ row, call, known, page }) {
  const busy = useSignal(false);
  const decide = (decision) => async () => {
    busy.value = true;
    await page.tools.decide(row, call, decision);
    busy.value = false;
  };
  if (!known)
    return (
      <div class="lw-tool-bar">
        <span class="lw-quiet">{t("tool_unknown")}</span>
        <button type="button" class="lw-button" disabled={busy.value} onClick={decide("deny")}>
          {t("tool_unknown_go")}
        </button>
      </div>
    );
  return (
    <div class="lw-tool-bar">
      <button type="button" class="lw-primary" disabled={busy.value} onClick={decide("allow")}>
        {t("tool_allow")}
      </button>
      <button type="button" class="lw-button" disabled={busy.value} onClick={decide("always")}>
        {t("tool_always")}
      </button>
      <button type="button" class="lw-button" disabled={busy.value} onClick={decide("deny")}>
        {t("tool_deny")}
      </button>
    </div>
  );
}

function Stop({ row, call, page }) {
  const busy = useSignal(false);
  const stop = async () => {
    busy.value = true;
    await page.tools.stop(row, call);
    busy.value = false;
  };
  return (
    <div class="lw-tool-bar">
      <button type="button" class="lw-button" disabled={busy.value} onClick={stop}>
        {t("stop")}
      </button>
    </div>
  );
}

/** The card of one call; a page that lets nothing run only names it. */
export function ToolCall({ part, row, page, last }) {
  const call = part.data ?? {};
  if (!page.tools) return <p class="lw-quiet">{t("tool", { name: call.name ?? "" })}</p>;
  const { state, text, error, denied, known } = page.tools.state(row, call, last);
  // What a model is told of a call that was denied is no news to who denied it.
  const ran = state === "done" && !denied;
  const label = denied ? "denied" : ran && error ? "failed" : state;
  const waits = state === "waiting";
  const given = pretty(call.arguments ?? "");
  return (
    <section class="lw-tool" data-state={label} aria-label={`${call.name}: ${t(LABELS[label])}`}>
      <header>
        <Icon name="function" />
        <code>{call.name}</code>
        <span class="lw-tool-state" role="status">
          {state === "running" && <span class="lw-pulse" />}
          {t(LABELS[label])}
        </span>
      </header>
      {waits && known && <p>{t("tool_asks")}</p>}
      <details open={waits}>
        <summary>
          {t("tool_arguments")}
          <Icon name="chevron" />
        </summary>
        <pre tabIndex={0}>{given && given !== "{}" ? given : t("tool_none")}</pre>
      </details>
      {waits && <Decision row={row} call={call} known={known} page={page} />}
      {state === "running" && <Stop row={row} call={call} page={page} />}
      {ran && (
        <details open={error}>
          <summary>
            {t("tool_result")}
            <Icon name="chevron" />
          </summary>
          <pre tabIndex={0}>{text || t("tool_none")}</pre>
        </details>
      )}
    </section>
  );
}

/** Where the model could not be told what came of its calls. */
export function Resend({ row, page, last }) {
  if (!last || !page.tools?.isHeld(row)) return null;
  const call = row.message.value.parts.find((part) => part.type === "tool_call").data;
  return (
    <button type="button" class="lw-button" onClick={() => page.tools.decide(row, call, "again")}>
      {t("tool_resend")}
    </button>
  );
}
