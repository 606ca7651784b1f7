/**
 * Messages to read, one below the other: a conversation of one's own, or what another shares.
 *
 * All that were read have a place, but what a message says is drawn only once it comes near what is in view; what is
 * far from it again is not laid out. Older ones are read when the beginning comes near. So a conversation of thousands
 * opens like one of a few.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Row } from "./answer.jsx";
import { t } from "./chat-strings.js";
import { Icon } from "./icons.jsx";
import "./log.css";

/** So many of the latest are drawn at once. */
const AT_ONCE = 6;

/** A message's place. Drawn once it stays so: what a person did in it is not lost. */
function Slot({ row, page, reader, last, atOnce }) {
  const box = useRef();
  const drawn = useSignal(atOnce);
  const far = useSignal(false);
  const stands = useSignal(false);
  useLayoutEffect(
    () =>
      reader.watch(box.current, (near) => {
        drawn.value ||= near;
        far.value = !near;
      }),
    [],
  );
  useEffect(() => {
    stands.value = drawn.value;
  }, [drawn.value]);
  const asleep = drawn.value && far.value && !last;
  return (
    <div
      class="lw-slot"
      ref={box}
      tabIndex={-1}
      data-message={row.id}
      data-drawn={drawn.value}
      data-far={asleep}
      data-stands={stands}
    >
      {drawn.value && <Row row={row} page={page} last={last} />}
    </div>
  );
}

/** Where older messages are read once it comes near; `onRead` says whether that worked. */
function Earlier({ reader, onRead }) {
  const box = useRef();
  const failed = useSignal(false);
  const read = async () => {
    failed.value = false;
    reader.hold();
    failed.value = !(await onRead());
  };
  useLayoutEffect(() => {
    let asked = false;
    return reader.watch(box.current, (near) => {
      if (!near || asked) return;
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

function Latest({ reader }) {
  if (!reader.end.behind.value) return null;
  return (
    <button type="button" class="lw-latest" onClick={() => reader.toEnd()}>
      <Icon name="arrow_down" />
      {t("latest")}
    </button>
  );
}

/**
 * It begins at the end, and follows it. `earlier` is where older messages go on, and `onEarlier` reads them; `children`
 * stand there while there are no rows.
 */
export function Log({ page, reader, rows, earlier, onEarlier, busy, children }) {
  const box = useRef();
  const inner = useRef();
  useLayoutEffect(() => reader.attach(box.current, inner.current), []);
  // What comes above must not move what is read.
  const first = rows[0]?.key;
  useLayoutEffect(() => reader.restore(), [first]);
  return (
    <div class="lw-stream">
      <div class="lw-log" ref={box} tabIndex={0} role="log" aria-live="off" aria-label={t("messages")} aria-busy={busy}>
        <div class="lw-rows" ref={inner}>
          {earlier && <Earlier key={earlier} reader={reader} onRead={onEarlier} />}
          {!rows.length && children}
          {rows.map((row, index) => (
            <Slot
              key={row.key}
              row={row}
              page={page}
              reader={reader}
              last={index === rows.length - 1}
              atOnce={index >= rows.length - AT_ONCE}
            />
          ))}
        </div>
      </div>
      <Latest reader={reader} />
    </div>
  );
}
