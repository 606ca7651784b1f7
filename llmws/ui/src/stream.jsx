/** The messages of the conversation that is shown. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Row } from "./answer.jsx";
import { Icon } from "./icons.jsx";
import { t } from "./strings.js";

const NEAR_END = 48;

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
        <p class="lw-note">{`${page.model.value.reason ?? t("model_unavailable")} ${t("unknown_model")}`}</p>
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
    </div>
  );
}

/** The messages. It follows the end only while the end is in view. */
export function Stream({ page }) {
  const box = useRef();
  const inner = useRef();
  const stuck = useRef(true);
  const behind = useSignal(false);
  const rows = page.rows.value;
  const toEnd = () => {
    stuck.current = true;
    behind.value = false;
    box.current.scrollTop = box.current.scrollHeight;
  };
  const measure = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    stuck.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
    behind.value = !stuck.current;
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => (stuck.current ? toEnd() : measure()));
    observer.observe(inner.current);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  // Whoever asks or opens wants to see the end.
  const asked = rows.at(-2)?.key;
  useLayoutEffect(toEnd, [asked, page.place.value]);
  const showEarlier = async () => {
    const fromEnd = box.current.scrollHeight - box.current.scrollTop;
    await page.showEarlier();
    requestAnimationFrame(() => {
      box.current.scrollTop = box.current.scrollHeight - fromEnd;
    });
  };
  const onWheel = (event) => {
    if (event.deltaY < 0) stuck.current = false;
  };
  const empty = !rows.length && !page.loading.value;
  return (
    <div class="lw-stream">
      <div
        class="lw-log"
        ref={box}
        tabIndex={0}
        role="log"
        aria-label={t("messages")}
        aria-busy={page.running.value}
        onScroll={measure}
        onWheel={onWheel}
      >
        <div class="lw-rows" ref={inner}>
          {page.earlier.value && (
            <button type="button" class="lw-link" onClick={showEarlier}>
              {t("earlier")}
            </button>
          )}
          {page.loading.value && !rows.length && <div class="lw-skeleton" role="status" aria-label={t("loading")} />}
          {empty && <Empty page={page} />}
          {rows.map((row, index) => (
            <Row key={row.key} row={row} page={page} last={index === rows.length - 1} />
          ))}
        </div>
      </div>
      {behind.value && (
        <button type="button" class="lw-latest" onClick={toEnd}>
          <Icon name="arrow_down" />
          {t("latest")}
        </button>
      )}
    </div>
  );
}
