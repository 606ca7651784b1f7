/** The lines of Python that do what the page just did. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { t } from "./chat-strings.js";
import { Dialog } from "./dialog.jsx";
import { cellOf, insertCell } from "./insert-cell.js";
import { colour } from "./markdown.js";
import { copyText } from "./page.js";
import "./as-code.css";

function Lines({ code, box }) {
  useLayoutEffect(() => {
    box.current.textContent = code;
    colour(box.current);
  }, [code]);
  return (
    <pre class="lw-lines" tabIndex={0}>
      <code class="language-python" ref={box} />
    </pre>
  );
}

export function AsCode({ page, onClose }) {
  const code = useSignal(null);
  const done = useSignal(null);
  const box = useRef();
  useEffect(() => {
    const { system, parameters, assistant_id: assistant = null, temporary = false } = page.settings.value;
    const chosen = { model: page.modelId.value, system, parameters, assistant, temporary };
    const values = { chat: page.open.value?.id ?? null, ...chosen };
    const ask = async () => {
      await page.changes.kept;
      const done = await page.attempt("code", values, (lines) => {
        code.value = lines;
      });
      // The notice of what went wrong lies under it.
      if (!done) onClose();
    };
    ask();
  }, []);
  const insert = () => {
    done.value = insertCell(box.current, code.value);
  };
  const copy = async () => {
    await copyText(code.value);
    done.value = "copied";
  };
  const bar = (
    <>
      <span class="lw-quiet" role="status">
        {done.value && t(done.value)}
      </span>
      {cellOf("python") && (
        <button type="button" class="lw-button" disabled={!code.value} onClick={insert}>
          {t("insert")}
        </button>
      )}
      <button type="button" class="lw-primary" disabled={!code.value} onClick={copy}>
        {t("copy")}
      </button>
    </>
  );
  return (
    <Dialog title={t("as_code")} onClose={onClose} bar={bar}>
      <p class="lw-quiet">{t("as_code_hint")}</p>
      {code.value === null ? (
        <div class="lw-skeleton-list" role="status" aria-label={t("loading")} />
      ) : (
        <Lines code={code.value} box={box} />
      )}
    </Dialog>
  );
}
