/** A conversation that leaves no history: it is chosen before anything is said, and marked for as long as it lasts. */
import { Icon, IconButton } from "./icons.jsx";
import { t } from "./turn-strings.js";
import "./turns.css";

export function TemporaryToggle({ page }) {
  // While it loads nobody knows whether the conversation will be a new one.
  if (page.loading.value || page.open.value || page.rows.value.length || page.sharing.reading.value) return null;
  const { temporary = false } = page.draft.value;
  return (
    <IconButton
      name="hide"
      label={t("temporary")}
      aria-pressed={temporary}
      data-changed={temporary}
      onClick={() => page.change({ temporary: !temporary })}
    />
  );
}

export function Temporary({ page }) {
  if (!page.settings.value.temporary || page.sharing.reading.value) return null;
  return (
    <p class="lw-temporary" role="status">
      <Icon name="hide" />
      {t("temporary_told")}
    </p>
  );
}
