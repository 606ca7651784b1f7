/** What a test found, in plain words: what is wrong, and what helps. */
import { count, relativeTime, seconds } from "./format.js";
import { Icon } from "./icons.jsx";
import { has, t } from "./provider-strings.js";
import { said } from "./said.js";

/** The sentence of a test; the service's own words are English, so a code that is known is said here. */
function says(verdict) {
  if (!verdict.ok) return has(`verdict_${verdict.code}`) ? t(`verdict_${verdict.code}`) : t("verdict_failed");
  const figures = { n: count(verdict.model_count ?? 0), s: seconds(verdict.latency_s ?? 0) };
  return t(verdict.model_count == null ? "verdict_answers" : "verdict_ok", figures);
}

export function Verdict({ verdict, onClose }) {
  return (
    <div class="lw-notice lw-verdict" data-bad={!verdict.ok} data-good={verdict.ok} role="status">
      <Icon name={verdict.ok ? "check" : "alert"} />
      <div>
        <strong>{says(verdict)}</strong>
        {!verdict.ok && <p>{said(verdict.message, verdict.remedy)}</p>}
        {verdict.checked_at && onClose && <small>{relativeTime(verdict.checked_at)}</small>}
      </div>
      {onClose && (
        <button type="button" class="lw-icon-button" aria-label={t("notice_hint")} onClick={onClose}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}
