/** A line of text to fill in: its label, what it is in, and what helps to fill it. */
import { useId } from "preact/hooks";

/** `note` stands at the right of the label, `hint` beneath; all else is the input's. */
export function Field({ label, note, hint, class: looks = "", ...input }) {
  const described = useId();
  return (
    <div class="lw-field">
      <label class="lw-field">
        <span class="lw-field-head">
          {label} {note && <span class="lw-unit">{note}</span>}
        </span>
        <input
          class={`lw-input ${looks}`}
          spellcheck={false}
          aria-describedby={hint ? described : undefined}
          {...input}
        />
      </label>
      {hint && <small id={described}>{hint}</small>}
    </div>
  );
}
