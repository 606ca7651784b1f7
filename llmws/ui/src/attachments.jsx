/** Pictures and files as they are seen: chips above what is being written, thumbnails and chips in what was said. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { mayGo } from "./attachments.js";
import { Dialog } from "./dialog.jsx";
import { count, percent } from "./format.js";
import { Icon, IconButton } from "./icons.jsx";
import { t } from "./input-strings.js";
import { saveFile } from "./page.js";
import { said } from "./said.js";
import "./attachments.css";

/** Why what is attached cannot go to the model that is chosen; null where it can. */
export function obstacle(page) {
  const { items, failed, hasPicture, tokens } = page.attachments;
  const model = page.model.value;
  if (failed.value) {
    const goes = items.value.some(({ state, error }) => state === "failed" && mayGo(error));
    const remedy = t(goes ? "attachment_failed_some_again" : "attachment_failed_some_hint");
    return { text: t("attachment_failed_some"), remedy, able: [] };
  }
  if (!model || !items.value.length) return null;
  const name = model.name || model.id;
  if (hasPicture.value && model.vision === false) {
    const able = page.models.value.filter((one) => one.vision && one.state === "ready").slice(0, 3);
    return { text: t("cannot_see", { model: name }), remedy: able.length ? "" : t("cannot_see_hint"), able };
  }
  if (model.context && tokens.value > model.context) {
    const figures = { tokens: count(tokens.value), context: count(model.context), model: name };
    return { text: t("too_long", figures), remedy: t("too_long_hint"), able: [] };
  }
  return null;
}

function failure({ error, name }) {
  if (error?.message) return said(error.message, error.remedy);
  if (error?.code?.startsWith("attachment_")) return t(error.code, { ...error, name });
  return said(t("attachment_failed", { name }), t("attachment_failed_hint"));
}

function Chip({ item, attachments }) {
  const { name, state, url, sent } = item;
  const failed = state === "failed";
  const told = failed ? failure(item) : t("attachment_ready");
  return (
    <li class="lw-file" data-state={state} title={failed ? told : name}>
      {url ? <img src={url} alt="" /> : <Icon name="file" />}
      {!(failed && told.includes(name)) && <span class="lw-file-name">{name}</span>}
      <span class="lw-file-state" role={failed ? "alert" : "status"}>
        {state === "sending" ? t("attachment_sending", { n: percent(sent) }) : told}
      </span>
      {failed && mayGo(item.error) && (
        <IconButton name="again" label={t("attachment_retry", { name })} onClick={() => attachments.retry(item)} />
      )}
      <IconButton name="close" label={t("attachment_remove", { name })} onClick={() => attachments.remove(item)} />
    </li>
  );
}

/** What goes along with the message that is being written, and what stands in its way. */
export function AttachmentBar({ page }) {
  const { attachments } = page;
  const items = attachments.items.value;
  const hindered = obstacle(page);
  return (
    <>
      {items.length > 0 && (
        <ul class="lw-files" aria-label={t("attachments")}>
          {items.map((item) => (
            <Chip key={item.key} item={item} attachments={attachments} />
          ))}
        </ul>
      )}
      {hindered && (
        <p class="lw-obstacle" role="alert">
          <Icon name="alert" />
          <span>{said(hindered.text, hindered.remedy)}</span>
          {hindered.able.map((model) => (
            <button key={model.id} type="button" class="lw-link" onClick={() => page.setModel(model.id)}>
              {t("use_model", { model: model.name || model.id })}
            </button>
          ))}
        </p>
      )}
    </>
  );
}

/** A button that opens the browser's own dialog. */
export function AttachButton({ page }) {
  const pick = () => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    input.onchange = () => page.attachments.add(input.files);
    input.click();
  };
  return <IconButton name="attach" label={t("attach")} onClick={pick} />;
}

/** What is pasted as a file goes along; text stays text, also where a program offers a picture of it. */
export const pasted = (page) => (event) => {
  const { files } = event.clipboardData;
  if (!files.length || event.clipboardData.getData("text/plain")) return;
  event.preventDefault();
  page.attachments.add(files);
};

/** Where files may be dropped: the handlers of an element, and whether something is over it. */
export function useDrop(page) {
  const over = useSignal(0);
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  const when = (act) => (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    // The notebook would open what is dropped on it.
    event.stopPropagation();
    act(event);
  };
  const handlers = {
    onDragEnter: when(() => {
      over.value++;
    }),
    onDragLeave: when(() => {
      over.value--;
    }),
    onDragOver: when(() => {}),
    onDrop: when((event) => {
      over.value = 0;
      page.attachments.add(event.dataTransfer.files);
    }),
  };
  return { handlers, over };
}

export function DropHint({ over }) {
  if (over.value < 1) return null;
  return (
    <div class="lw-drop" aria-hidden="true">
      <Icon name="attach" />
      {t("attach_drop")}
    </div>
  );
}

function Picture({ data, page }) {
  const address = useSignal(undefined);
  const large = useSignal(false);
  const tried = useSignal(0);
  const { attachment: id, name, width, height } = data;
  useEffect(() => {
    let here = true;
    page.pictures.address(id).then((found) => {
      if (here) address.value = found;
    });
    return () => {
      here = false;
    };
  }, [id, tried.value]);
  const lost = () => {
    page.pictures.forget(id);
    if (tried.value++) address.value = null;
  };
  if (address.value === null) return <FileChip data={{ ...data, name: `${name} (${t("attachment_gone")})` }} />;
  const close = () => {
    large.value = false;
  };
  return (
    <>
      <button
        type="button"
        class="lw-picture"
        aria-label={t("picture_show", { name })}
        style={{ aspectRatio: width && height ? `${width} / ${height}` : undefined }}
        onClick={() => {
          large.value = true;
        }}
      >
        {address.value && <img src={address.value} alt={t("picture", { name })} onError={lost} />}
      </button>
      {large.value && (
        <Dialog title={name} onClose={close}>
          <img class="lw-picture-large" src={address.value} alt={t("picture", { name })} />
        </Dialog>
      )}
    </>
  );
}

function FileChip({ data, onClick }) {
  return (
    <button type="button" class="lw-file" disabled={!onClick} onClick={onClick}>
      <Icon name="file" />
      <span class="lw-file-name">{data.name}</span>
    </button>
  );
}

/** What went along with a message; on a page that has no bytes, by name. */
export function AttachedParts({ message, page }) {
  const parts = (message.parts ?? []).filter((part) => part.data?.attachment);
  if (!parts.length) return null;
  const save = (data) => async () => {
    const address = await page.pictures.address(data.attachment);
    if (address) saveFile(address);
    else page.fail({ message: `${data.name}: ${t("attachment_gone")}` });
  };
  return (
    <div class="lw-attached">
      {parts.map(({ type, data }) =>
        type === "image" && page.pictures ? (
          <Picture key={data.attachment} data={data} page={page} />
        ) : (
          <FileChip key={data.attachment} data={data} onClick={page.pictures && save(data)} />
        ),
      )}
    </div>
  );
}
