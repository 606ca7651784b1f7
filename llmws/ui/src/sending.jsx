/** Sending what is written, and the button that does it or stops what came of it. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import { Icon } from "./icons.jsx";
import { t } from "./strings.js";

/**
 * How `text`, a signal, is sent: what is asked for while it is only `coming` that it can, goes as soon as it is `able` to.
 * It is not sent any more once it was changed, or another `place` is shown.
 */
export function useSending({ text, place, able, coming, send }) {
  const held = useSignal(null);
  const holds = held.value !== null;
  const waits = holds && held.value.text === text.value && held.value.place === place;
  useLayoutEffect(() => {
    if (waits && !able && coming) return;
    held.value = null;
    if (waits && able) send();
  }, [holds, waits, able, coming]);
  return {
    able,
    waits,
    send: () => {
      if (able) send();
      else if (coming) held.value = { text: text.value, place };
    },
    keep: () => {
      held.value = null;
    },
  };
}

/** `stop` is there while an answer comes: what it is called, and what it does. */
export function SendButton({ sending, stop }) {
  const [icon, label, onClick] = stop
    ? ["stop", stop.label, stop.act]
    : sending.waits
      ? ["clock", t("send_waits"), sending.keep]
      : ["arrow_up", t("send"), sending.send];
  return (
    <button
      type="button"
      class="lw-send"
      aria-label={label}
      title={stop ? `${label} (Esc)` : label}
      disabled={!stop && !sending.able && !sending.waits}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
