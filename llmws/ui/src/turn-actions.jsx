/** What can be done with a message that stands there: copied, edited, asked for again, continued, and its versions. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { CopyButton } from "./copy-button.jsx";
import { drawn } from "./drawn.js";
import { IconButton } from "./icons.jsx";
import { textOf } from "./messages.js";
import { ModelList } from "./model-list.jsx";
import { Popover } from "./popover.jsx";
import { t } from "./turn-strings.js";
import "./turns.css";

/** What stands free between a list of models and the end of its room. */
const MARGIN = 8;
/** How an answer ends of which there may be more. */
const CUT_OFF = ["length", "cancelled", "interrupted", "error"];

/** Whether the service has the message: only then can anything be done about it. */
const isKept = (row) => row.siblings.value.length > 0;

/** ‹ 2/3 › between the versions of a message. The arrow that is pressed stays under the pointer, and keeps the focus. */
function Versions({ row, page }) {
  const box = useRef();
  const ids = row.siblings?.value ?? [];
  useLayoutEffect(() => {
    const { arrow } = page.turns;
    if (arrow?.id !== row.id || !box.current) return;
    page.turns.arrow = null;
    const button = box.current.querySelector(`[data-step="${arrow.step}"]`);
    page.reader.keep(button, arrow.top);
    button.focus({ preventScroll: true });
  }, []);
  if (ids.length < 2) return null;
  const at = ids.indexOf(row.id);
  const arrow = (step, name, label) => (
    <IconButton
      name={name}
      label={t(label)}
      data-step={step}
      // Not `disabled`, which would lose the focus.
      aria-disabled={!ids[at + step]}
      onClick={({ currentTarget }) => page.turns.go(row, step, currentTarget.getBoundingClientRect().top)}
    />
  );
  return (
    <fieldset class="lw-versions" aria-label={t("versions", { n: at + 1, count: ids.length })} ref={box}>
      {arrow(-1, "back", "version_before")}
      <span aria-hidden="true">{`${at + 1}/${ids.length}`}</span>
      {arrow(1, "forward", "version_after")}
    </fieldset>
  );
}

/** The models that an answer can be asked of again. */
function OtherModel({ row, page, busy }) {
  const open = useSignal(false);
  // The list stands where there is more room in what scrolls, and takes no more than that.
  const place = useSignal({ below: false, room: 0 });
  const close = () => {
    open.value = false;
  };
  const onPick = (id) => {
    close();
    page.turns.regenerate(row, id);
  };
  return (
    <div class="lw-menu lw-models" data-below={place.value.below} style={{ "--room": `${place.value.room}px` }}>
      <IconButton
        name="chevron"
        label={t("ask_other")}
        aria-haspopup="dialog"
        aria-expanded={open.value}
        disabled={busy}
        onClick={({ currentTarget }) => {
          const button = currentTarget.getBoundingClientRect();
          const log = currentTarget.closest(".lw-log").getBoundingClientRect();
          const [above, below] = [button.top - log.top, log.bottom - button.bottom];
          place.value = { below: below > above, room: Math.max(above, below) - MARGIN };
          open.value = !open.value;
        }}
      />
      {open.value && (
        <Popover label={t("ask_other")} onClose={close}>
          <ModelList
            label={t("model_pick")}
            models={page.models.value}
            isChosen={(id) => id === row.message.value.model}
            onPick={onPick}
          />
        </Popover>
      )}
    </div>
  );
}

/** Below an answer that has ended; a page without branches only copies. */
export function AnswerActions({ row, page, last }) {
  const message = row.message.value;
  const busy = page.turns && page.running.value;
  return (
    <>
      {page.turns && <Versions row={row} page={page} />}
      <div class="lw-turn" data-last={last}>
        {textOf(message) && <CopyButton label={t("copy_message")} text={() => textOf(row.message.value)} />}
        {page.turns && isKept(row) && (
          <>
            <IconButton
              name="again"
              label={t("ask_again", { model: message.model ?? page.modelId.value })}
              disabled={busy}
              onClick={() => page.turns.regenerate(row)}
            />
            <OtherModel row={row} page={page} busy={busy} />
          </>
        )}
      </div>
    </>
  );
}

/** Of an answer that was cut off there may be more. */
export function GoOn({ row, page, last }) {
  const message = row.message.value;
  if (!page.turns || !last || !isKept(row) || !CUT_OFF.includes(message.finish_reason) || !textOf(message)) return null;
  return (
    <button type="button" class="lw-link" disabled={page.running.value} onClick={() => page.turns.resume(row)}>
      {t("go_on")}
    </button>
  );
}

/** Below what a person said. */
export function AskedActions({ row, page }) {
  if (!page.turns) return null;
  return (
    <footer>
      <div class="lw-turn">
        <CopyButton label={t("copy")} text={() => textOf(row.message.value)} />
        {isKept(row) && (
          <IconButton
            name="pencil"
            label={t("edit_message")}
            data-edit
            disabled={page.running.value}
            onClick={() => page.turns.startEditing(row)}
          />
        )}
      </div>
      <Versions row={row} page={page} />
    </footer>
  );
}

/** A message in the hands of who said it. Enter says it anew, Shift and Enter make a line, Escape lets it be. */
export function EditBox({ page }) {
  const input = useRef();
  const { row, text } = page.turns.editing.value;
  const wanted = text.trim();
  useLayoutEffect(() => {
    input.current.focus();
    input.current.setSelectionRange(text.length, text.length);
  }, []);
  useLayoutEffect(() => {
    input.current.style.height = "auto";
    input.current.style.height = `${input.current.scrollHeight}px`;
  }, [text]);
  /** Where the focus goes when the box does. */
  const leave = (to) => {
    const found = input.current.closest(to);
    return () =>
      drawn().then(() => (found.querySelector("[data-edit]:enabled") ?? found).focus({ preventScroll: true }));
  };
  const cancel = () => {
    const focus = leave(".lw-asked");
    page.turns.editing.value = null;
    focus();
  };
  const send = () => {
    if (!wanted || page.running.value) return;
    const focus = leave(".lw-log");
    page.turns.edit(row, wanted);
    focus();
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      cancel();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    }
  };
  return (
    <div class="lw-reword">
      <textarea
        ref={input}
        rows={1}
        value={text}
        aria-label={t("edit_hint")}
        onInput={(event) => {
          page.turns.editing.value = { row, text: event.currentTarget.value };
        }}
        onKeyDown={onKeyDown}
      />
      <div class="lw-reword-bar">
        <small>{t("edit_keeps")}</small>
        <button type="button" class="lw-button" onClick={cancel}>
          {t("edit_cancel")}
        </button>
        <button type="button" class="lw-button lw-primary" disabled={!wanted || page.running.value} onClick={send}>
          {t("edit_send")}
        </button>
      </div>
    </div>
  );
}

/** The entry of a menu that lets a model name conversations, or no more; none where nobody gets such titles. */
export function titlesItem(page) {
  const wanted = page.sharing.me.value.automatic_titles ?? null;
  return wanted !== null && ["idea", t(wanted ? "titles_off" : "titles_on"), () => page.turns.nameByModel(!wanted)];
}

/** An answer that is written where nobody looks. */
export function Elsewhere({ page }) {
  const generation = page.turns.elsewhere.value;
  if (!generation) return null;
  return (
    <div class="lw-banner" role="status">
      <span class="lw-pulse" />
      {t("elsewhere")}
      <button type="button" class="lw-link" onClick={() => page.turns.showRunning()}>
        {t("elsewhere_show")}
      </button>
    </div>
  );
}
