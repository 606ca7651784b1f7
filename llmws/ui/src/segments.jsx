/** A choice among few: as a row of segments, or as a list to choose from. */
import { useId } from "preact/hooks";

/** `chosen` is a signal that holds one of `choices`; `says` names one. */
export function Segments({ label, choices, chosen, says }) {
  const group = useId();
  return (
    <span class="lw-segments" role="radiogroup" aria-label={label}>
      {choices.map((choice) => (
        <label key={choice}>
          <input
            type="radio"
            name={group}
            checked={chosen.value === choice}
            onChange={() => {
              chosen.value = choice;
            }}
          />
          <span>{says(choice)}</span>
        </label>
      ))}
    </span>
  );
}

export function Select({ label, choices, value, says, onChange }) {
  return (
    <select class="lw-input" aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {choices.map((choice) => (
        <option key={choice} value={choice}>
          {says(choice)}
        </option>
      ))}
    </select>
  );
}
