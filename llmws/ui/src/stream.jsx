/**
 * The messages of the conversation that is shown.
 *
 * All that were read have a place, but what a message says is drawn only once it comes near what is in view; what is
 * far from it again is not laid out. Older ones are read when the beginning comes near. So a conversation of thousands
 * opens like one of a few.
 */
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Row } from "./answer.jsx";
import { AssistantCards } from "./assistants.jsx";
import { t } from "./chat-strings.js";
import { Icon } from "./icons.jsx";
import { textOf } from "./messages.js";
import { said } from "./said.js";
import "./stream.css";

/** So many of the latest are drawn at once. */
const AT_ONCE = 6;
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

/** A message's place, of no height until it is drawn. Drawn once it stays so: what a person did in it is not lost. */
function Slot({ row, page, reader, last, atOnce }) {
  const box = useRef();
  const drawn = useSignal(atOnce);
  const far = useSignal(false);
  const shown = useRef(0);
  useLayoutEffect(
    () =>
      reader.watch(box.current, ({ isIntersecting, boundingClientRect }) => {
        if (isIntersecting) drawn.value = true;
        else if (drawn.value && !far.value) shown.current = boundingClientRect.height;
        far.value = !isIntersecting;
      }),
    [],
  );
  const asleep = drawn.value && far.value && !last;
  const style = asleep ? { containIntrinsicBlockSize: `${shown.current}px` } : {};
  return (
    <div class="lw-slot" ref={box} tabIndex={-1} data-message={row.id} data-far={asleep} style={style}>
      {drawn.value && <Row row={row} page={page} last={last} />}
    </div>
  );
}

/** Where older messages are read once it comes near. */
function Earlier({ page, reader }) {
  const box = useRef();
  const failed = useSignal(false);
  const read = async () => {
    failed.value = false;
    failed.value = !(await page.showEarlier());
  };
  useLayoutEffect(() => {
    let asked = false;
    return reader.watch(box.current, ({ isIntersecting }) => {
      if (!isIntersecting || asked) return;
      asked = true;
      read();
    });
  }, []);
  return (
    <div class="lw-earlier" ref={box}>
      {failed.value ? (
        <button type="button" class="lw-link" onClick={read}>
          {t("earlier")}
        </button>
      ) : (
        t("earlier_coming")
      )}
    </div>
  );
}

function Rows({ page, reader }) {
  const rows = page.rows.value;
  // What comes above must not move what is read.
  const first = rows[0]?.key;
  useLayoutEffect(() => reader.restore(), [first]);
  return rows.map((row, index) => (
    <Slot
      key={row.key}
      row={row}
      page={page}
      reader={reader}
      last={index === rows.length - 1}
      atOnce={index >= rows.length - AT_ONCE}
    />
  ));
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
    <div class="lw-heard" role="status">
      {said}
    </div>
  );
}

function Latest({ reader }) {
  if (!reader.behind.value) return null;
  return (
    <button type="button" class="lw-latest" onClick={() => reader.toEnd()}>
      <Icon name="arrow_down" />
      {t("latest")}
    </button>
  );
}

/** The messages. It follows the end only while the end is in view. */
export function Stream({ page }) {
  const { reader } = page;
  const box = useRef();
  const inner = useRef();
  useLayoutEffect(() => reader.attach(box.current, inner.current), []);
  // Whoever asks or opens wants to see the end.
  useLayoutEffect(() => reader.toEnd(), [page.turns.asked.value, page.place.value]);
  const empty = useComputed(() => !page.rows.value.length);
  return (
    <div class="lw-stream">
      <div
        class="lw-log"
        ref={box}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={t("messages")}
        aria-busy={page.running}
      >
        <div class="lw-rows" ref={inner}>
          {page.earlier.value && <Earlier key={page.earlier.value} page={page} reader={reader} />}
          {empty.value && page.loading.value && <div class="lw-skeleton" role="status" aria-label={t("loading")} />}
          {empty.value && !page.loading.value && <Empty page={page} />}
          <Rows page={page} reader={reader} />
        </div>
      </div>
      <Heard page={page} />
      <Latest reader={reader} />
    </div>
  );
}
