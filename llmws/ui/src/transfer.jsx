/** The sheets for export and import, and the entries of the menu that open them. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Dialog } from "./dialog.jsx";
import { count, percent } from "./format.js";
import { Icon } from "./icons.jsx";
import { said } from "./said.js";
import { t } from "./transfer-strings.js";
import "./transfer.css";

// Each with its icon and the begin of its sentences.
const FORMATS = [
  ["markdown", "file", "markdown"],
  ["html", "globe", "html"],
  ["notebook", "notebook", "notebook"],
  ["csv", "table", "table"],
  ["json", "braces", "json"],
];
const ZIPPED = ["markdown", "html", "notebook"];

/** The entries of the header's menu. */
export const transferItems = ({ transfer }) => [
  [
    "download",
    t("export_title"),
    () => {
      transfer.sheet.value = "export";
    },
  ],
  ["upload", t("import_title"), () => transfer.openImport()],
];

export function TransferSheets({ page }) {
  const { sheet } = page.transfer;
  if (sheet.value === "export") return <Export page={page} />;
  return sheet.value === "import" ? <Import transfer={page.transfer} /> : null;
}

function Export({ page }) {
  const { transfer } = page;
  const chat = page.open.value;
  const all = useSignal(!chat);
  const choice = (value, name) => (
    <label>
      <input
        type="radio"
        name="export-what"
        checked={all.value === value}
        disabled={!value && !chat}
        onChange={() => {
          all.value = value;
        }}
      />
      {name}
    </label>
  );
  return (
    <Dialog title={t("export_title")} onClose={() => transfer.close()}>
      <fieldset class="lw-export-what" aria-label={t("export_what")}>
        {choice(false, t("export_one"))}
        {choice(true, t("export_all"))}
      </fieldset>
      <ul class="lw-formats">
        {FORMATS.map(([format, icon, name]) => (
          <li key={format}>
            <button
              type="button"
              onClick={() => {
                transfer.save(format, all.value ? null : chat.id);
                transfer.close();
              }}
            >
              <Icon name={icon} />
              <strong>{t(`export_${name}`)}</strong>
              <small>
                {t(`export_${name}_hint`)}
                {all.value && ZIPPED.includes(format) && ` (${t("export_zip")})`}
              </small>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function Import({ transfer }) {
  const shown = transfer.shown.value;
  const ended = shown?.state === "ended";
  const bar = ended && (
    <>
      <button type="button" class="lw-button" onClick={() => transfer.again()}>
        {t("import_again")}
      </button>
      <button type="button" class="lw-primary" onClick={() => transfer.close()}>
        {t("close")}
      </button>
    </>
  );
  return (
    <Dialog title={t("import_title")} onClose={() => transfer.close()} bar={bar}>
      {!shown && <Choose transfer={transfer} />}
      {shown && !ended && <Progress transfer={transfer} shown={shown} />}
      {ended && <Report transfer={transfer} shown={shown} />}
    </Dialog>
  );
}

function Choose({ transfer }) {
  const input = useRef();
  const over = useSignal(false);
  const error = transfer.error.value;
  const drag = (value) => (event) => {
    event.preventDefault();
    event.stopPropagation();
    over.value = value;
  };
  const onDrop = (event) => {
    drag(false)(event);
    const [file] = event.dataTransfer.files;
    if (file) transfer.choose(file);
  };
  return (
    <>
      <div
        class="lw-import-drop"
        data-over={over.value}
        onDragOver={drag(true)}
        onDragLeave={drag(false)}
        onDrop={onDrop}
      >
        <Icon name="upload" />
        <p>{t("import_drop")}</p>
        <button type="button" class="lw-primary" onClick={() => input.current.click()}>
          {t("import_choose")}
        </button>
        <input
          ref={input}
          type="file"
          accept=".json,.zip,application/json,application/zip"
          aria-label={t("import_choose")}
          hidden
          onChange={({ target }) => target.files[0] && transfer.choose(target.files[0])}
        />
      </div>
      {error && (
        <p class="lw-bad" role="alert">
          {said(error.message, error.remedy)}
        </p>
      )}
      <p class="lw-quiet">
        {t("import_hint")} {t("import_once")}
      </p>
    </>
  );
}

function Progress({ transfer, shown }) {
  const sending = shown.state === "uploading";
  const share = (sending ? shown.received : shown.read) / shown.bytes;
  const name = t(sending ? "import_sending" : "import_reading", { name: shown.name });
  return (
    <div class="lw-import-progress">
      <p id="lw-import-now">{name}</p>
      <progress class="lw-progress" aria-labelledby="lw-import-now" max="1" value={share} />
      <p class="lw-quiet" role="status">
        {transfer.broken.value ? t("import_waiting") : percent(Math.floor(share * 100) / 100)}{" "}
        {!sending && <Counts shown={shown} />}
      </p>
      <button type="button" class="lw-button" onClick={() => transfer.cancel()}>
        {t("import_cancel")}
      </button>
    </div>
  );
}

const outcomes = (shown) => ["imported", "updated", "present", "refused"].filter((outcome) => shown[outcome]);
const counted = (outcome, shown) => t(`import_${outcome}`, { n: count(shown[outcome]) });

function Counts({ shown }) {
  return outcomes(shown)
    .map((outcome) => counted(outcome, shown))
    .join(" · ");
}

function Report({ transfer, shown }) {
  const told = outcomes(shown);
  return (
    <>
      <div class="lw-import-counts" role="status">
        {told.map((outcome) => (
          <button
            key={outcome}
            type="button"
            class="lw-button"
            data-outcome={outcome}
            aria-pressed={transfer.outcome.value === outcome}
            onClick={() => transfer.report(outcome)}
          >
            {counted(outcome, shown)}
          </button>
        ))}
        {!told.length && !shown.error && <p>{t("import_none")}</p>}
      </div>
      {shown.error && (
        <p class="lw-bad" role="alert">
          {said(t("import_broken"), shown.error)}
        </p>
      )}
      {transfer.outcome.value && <Records transfer={transfer} />}
      <p class="lw-quiet">{t("import_once")}</p>
    </>
  );
}

function Records({ transfer }) {
  const refused = transfer.outcome.value === "refused";
  const cursor = transfer.more.value;
  return (
    <section class="lw-import-records" tabIndex={0} aria-label={t("import_what")}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("import_place")}</th>
            <th scope="col">{t("import_what")}</th>
            <th scope="col">{t(refused ? "import_reason" : "import_messages")}</th>
          </tr>
        </thead>
        <tbody>
          {transfer.records.value.map(({ place, title, reason, messages }) => (
            <tr key={place}>
              <td>{place}</td>
              <td>{title || t("untitled")}</td>
              <td>{refused ? said(reason) : said(count(messages), reason)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {cursor && (
        <button type="button" class="lw-link" onClick={() => transfer.report(transfer.outcome.value, cursor)}>
          {t("import_more")}
        </button>
      )}
    </section>
  );
}
