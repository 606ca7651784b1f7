/** The conversation that is shown: what was said in it, or how one may begin. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { AssistantCards } from "./assistants.jsx";
import { t } from "./chat-strings.js";
import { Icon } from "./icons.jsx";
import { Log } from "./log.jsx";
import { textOf } from "./messages.js";
import { said } from "./said.js";
import "./stream.css";

const LONGEST_HEARD = 2_000;

const suggestions = [
  ["suggest_1", "idea"],
  ["suggest_2", "code"],
  ["suggest_3", "mail"],
];

function Empty({ page }) {
  const ready = page.model.value?.state === "ready";
  return (
    <div class="lw-empty">
      <h2>{t("empty_title")}</h2>
      {!page.models.value.length && <p class="lw-note">{t("model_none_hint")}</p>}
      {page.model.value?.state === "unavailable" && (
        <p class="lw-note">{said(page.model.value.reason || t("model_unavailable"), t("unknown_model"))}</p>
      )}
      <div class="lw-suggestions">
        {suggestions.map(([key, icon]) => (
          <button key={key} type="button" disabled={!ready} onClick={() => page.send(t(key))}>
            <Icon name={icon} />
            <strong>{t(`${key}_title`)}</strong>
            <span>{t(key)}</span>
          </button>
        ))}
      </div>
      <AssistantCards page={page} />
    </div>
  );
}

/** What a screen reader says when an answer is complete; the answer itself would be read word by word. */
function Heard({ page }) {
  const said = useSignal("");
  const running = useRef(null);
  const row = page.rows.value.at(-1);
  useEffect(() => {
    if (page.running.value) running.current = row;
    else if (running.current === row) said.value = textOf(row?.message.value ?? {}).slice(0, LONGEST_HEARD);
  }, [page.running.value, row]);
  return (
    <div class="lw-hidden" role="status">
      {said}
    </div>
  );
}

export function Stream({ page }) {
  const { reader } = page;
  // Whoever asks or opens wants to see the end.
  useLayoutEffect(() => reader.toEnd(), [page.turns.asked.value, page.place.value]);
  return (
    <>
      <Log
        page={page}
        reader={reader}
        rows={page.rows.value}
        earlier={page.earlier.value}
        onEarlier={() => page.showEarlier()}
        busy={page.running}
      >
        {page.loading.value ? (
          <div class="lw-skeleton" role="status" aria-label={t("loading")} />
        ) : (
          <Empty page={page} />
        )}
      </Log>
      <Heard page={page} />
    </>
  );
}
