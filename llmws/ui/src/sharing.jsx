/** Sharing: the dialog that gives and takes back, the list of what others share, and a conversation of theirs to read. */
import { useSignal } from "@preact/signals";
import { useId, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { Pictures } from "./attachments.js";
import { Dialog } from "./dialog.jsx";
import { dateOf, exactTime, relativeTime } from "./format.js";
import { Icon } from "./icons.jsx";
import { Log } from "./log.jsx";
import { copyText } from "./page.js";
import { Reader } from "./reader.js";
import { said } from "./said.js";
import { Segments, Select } from "./segments.jsx";
import { t } from "./sharing-strings.js";
import { Menu } from "./shell.jsx";
import "./sharing.css";

const DAYS = ["1", "7", "30", "365", "never"];

/** What the header's menu offers for the open conversation. */
export const shareItem = (page) => {
  const chat = page.open.value;
  return chat && !chat.temporary && ["share", t("share_open"), () => page.sharing.open("chats", chat)];
};

// The dialog

/** One button takes it back and undoes that: where it was another, the focus would be lost with it. */
function Given({ grant, sharing }) {
  const { kind, grantee, gone } = grant;
  const label = gone ? undefined : t("grant_take", { name: grantee });
  return (
    <li data-gone={gone}>
      <span class="lw-tag">{t(`grant_${kind}`)}</span>
      <span class="lw-share-name">{gone ? t("grant_taken", { name: grantee }) : grantee}</span>
      <button
        type="button"
        class={gone ? "lw-link" : "lw-icon-button"}
        title={label}
        aria-label={label}
        onClick={() => (gone ? sharing.give(kind, grantee) : sharing.takeBack(grant))}
      >
        {gone ? t("undo") : <Icon name="close" />}
      </button>
    </li>
  );
}

/** Whom to give it to: a person by name, or a group of one's own; who there is, nobody is told. */
function GiveForm({ sharing }) {
  const kind = useSignal("person");
  const name = useRef();
  const { groups } = sharing.me.value;
  const chosen = useSignal(null);
  // Which there are may be known only after the dialog was opened.
  const group = chosen.value ?? groups[0];
  const toGroup = kind.value === "group";
  const onSubmit = async (event) => {
    event.preventDefault();
    if (toGroup) return sharing.give(kind.value, group);
    const grantee = name.current.value.trim();
    if (!grantee) return;
    // The next may be typed while this one is on its way.
    name.current.value = "";
    const done = await sharing.give(kind.value, grantee);
    if (!done && name.current) name.current.value ||= grantee;
  };
  return (
    <form class="lw-share-form" onSubmit={onSubmit}>
      {groups.length > 0 && (
        <Segments label={t("whom")} choices={["person", "group"]} chosen={kind} says={(one) => t(`grant_${one}`)} />
      )}
      {toGroup ? (
        <Select
          label={t("grant_name_group")}
          choices={groups}
          value={group}
          says={(one) => one}
          onChange={(one) => {
            chosen.value = one;
          }}
        />
      ) : (
        <input
          ref={name}
          class="lw-input"
          required
          maxLength={255}
          autocomplete="off"
          spellcheck={false}
          aria-label={t("grant_name_person")}
          placeholder={t("grant_person_hint")}
        />
      )}
      <button type="submit" class="lw-button">
        {t("grant")}
      </button>
    </form>
  );
}

function Expiry({ at }) {
  if (at === null) return t("link_forever");
  const date = (
    <time dateTime={new Date(at * 1000).toISOString()} title={exactTime(at)}>
      {dateOf(at)}
    </time>
  );
  const [before, after] = t(at * 1000 < Date.now() ? "link_expired" : "link_expires", { date: "\n" }).split("\n");
  return [before, date, after];
}

function LinkRow({ link, sharing }) {
  const made = t("link_made", { time: relativeTime(link.created_at) });
  return (
    <li data-gone={link.gone}>
      <Icon name="link" />
      <span class="lw-share-name">
        {link.gone ? (
          t("link_revoked")
        ) : (
          <>
            <span title={exactTime(link.created_at)}>{made}</span> · <Expiry at={link.expires_at} />
          </>
        )}
      </span>
      <button type="button" class="lw-link" onClick={() => (link.gone ? sharing.restore(link) : sharing.revoke(link))}>
        {t(link.gone ? "undo" : "link_revoke")}
      </button>
    </li>
  );
}

function NewLink({ url }) {
  const copied = useSignal(false);
  const field = useRef();
  const hint = useId();
  useLayoutEffect(() => field.current.select(), [url]);
  const onCopy = async () => {
    await copyText(url);
    copied.value = true;
  };
  return (
    <div class="lw-share-new" role="status">
      <small id={hint}>{t("link_new")}</small>
      <div class="lw-share-form">
        <input
          ref={field}
          class="lw-input"
          readOnly
          value={url}
          aria-label={t("links")}
          aria-describedby={hint}
          onFocus={(event) => event.currentTarget.select()}
        />
        <button type="button" class="lw-primary" onClick={onCopy}>
          <Icon name={copied.value ? "check" : "copy"} />
          {t(copied.value ? "copied" : "copy_link")}
        </button>
      </div>
    </div>
  );
}

function Links({ sharing, about }) {
  const days = useSignal("30");
  const fresh = about.links.findLast((link) => link.url && !link.gone);
  const onSubmit = (event) => {
    event.preventDefault();
    sharing.makeLink(days.value === "never" ? null : Number(days.value));
  };
  return (
    <section class="lw-share-part">
      <h3>{t("links")}</h3>
      <p class="lw-quiet">{t("links_hint")}</p>
      {fresh && <NewLink url={fresh.url} />}
      {about.links.length > 0 && (
        <ul class="lw-share-list">
          {about.links.map((link) => (
            <LinkRow key={link.id} link={link} sharing={sharing} />
          ))}
        </ul>
      )}
      <form class="lw-share-form" onSubmit={onSubmit}>
        <div class="lw-share-days">
          <span>{t("link_good_for")}</span>
          <Select
            label={t("link_good_for")}
            choices={DAYS}
            value={days.value}
            says={(one) => t(`days_${one}`)}
            onChange={(one) => {
              days.value = one;
            }}
          />
        </div>
        <button type="submit" class="lw-button">
          {t("link_make")}
        </button>
      </form>
    </section>
  );
}

function Alone() {
  return (
    <div class="lw-share-alone">
      <strong>{t("share_alone")}</strong>
      <p class="lw-quiet">{t("share_alone_hint")}</p>
    </div>
  );
}

/** With whom the thing of `page.sharing.dialog` is shared. */
export function ShareDialog({ page }) {
  const { sharing } = page;
  const about = sharing.dialog.value;
  if (!about) return null;
  const title = t("share_title", { title: about.title });
  return (
    <Dialog title={title} onClose={() => sharing.close()}>
      {sharing.me.value.hub === false && <Alone />}
      {about.loading && <div class="lw-skeleton-list" role="status" aria-label={t("loading")} />}
      {sharing.me.value.hub !== false && !about.loading && (
        <>
          <section class="lw-share-part">
            <h3>{t("share_people")}</h3>
            <p class="lw-quiet">{t(about.noun === "assistants" ? "share_assistant_hint" : "share_hint")}</p>
            <GiveForm sharing={sharing} />
            {about.grants.length ? (
              <ul class="lw-share-list">
                {about.grants.map((grant) => (
                  <Given key={`${grant.kind} ${grant.grantee}`} grant={grant} sharing={sharing} />
                ))}
              </ul>
            ) : (
              <p class="lw-quiet">{t("grants_none")}</p>
            )}
          </section>
          {about.noun === "chats" && sharing.me.value.links && <Links sharing={sharing} about={about} />}
        </>
      )}
      {about.problem && (
        <p class="lw-bad" role="alert">
          {said(about.problem.message, about.problem.remedy)}
        </p>
      )}
    </Dialog>
  );
}

// What others share

/** Below one's own conversations; nothing where nobody shares anything. */
export function SharedWithMe({ page, onPick }) {
  const { sharing } = page;
  const chats = sharing.chats.value;
  if (!chats.length) return null;
  const read = (id) => {
    sharing.read(id);
    onPick();
  };
  return (
    <section class="lw-shared-list">
      <h3>{t("shared_with_me")}</h3>
      <ul>
        {chats.map((chat) => {
          const current = chat.id === sharing.reading.value?.chat.id;
          const title = chat.title || t("untitled");
          return (
            <li key={chat.id} class="lw-entry" data-current={current}>
              <button
                type="button"
                class="lw-entry-open"
                title={`${title}\n${t("shared_from", { owner: chat.owner })} · ${exactTime(chat.updated_at)}`}
                aria-current={current ? "true" : undefined}
                onClick={() => read(chat.id)}
              >
                <span class="lw-entry-title">{title}</span>
                <span class="lw-shared-owner">{chat.owner}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {sharing.more.value && (
        <button type="button" class="lw-link" onClick={() => sharing.showMore()}>
          {t("shared_more")}
        </button>
      )}
    </section>
  );
}

/** The header of what another shares: whose it is, and that it is to read. */
export function SharedTitle({ page }) {
  const { chat } = page.sharing.reading.value;
  const title = chat.title || t("untitled");
  return (
    <>
      <h2 title={title}>{title}</h2>
      <span class="lw-tag lw-head-tag" data-fixed>
        <span>{t("only_read")}</span>
      </span>
    </>
  );
}

/** A conversation of somebody else's, in the place of one's own and of the composer. */
export function SharedChat({ page }) {
  const { sharing } = page;
  const { chat, rows, earlier, loading } = sharing.reading.value;
  // A page that shows what is attached, and can do nothing else.
  const shown = useMemo(() => {
    const pictures = new Pictures((ids) => page.comm.call("shared_pictures", { id: chat.id, ids }));
    return { pictures, fail: (error) => page.fail(error) };
  }, [chat.id]);
  const reader = useMemo(() => new Reader(), [chat.id]);
  return (
    <>
      <Log
        key={chat.id}
        page={shown}
        reader={reader}
        rows={rows}
        earlier={earlier}
        onEarlier={() => sharing.showEarlier()}
        busy={loading}
      >
        {loading ? (
          <div class="lw-skeleton" role="status" aria-label={t("loading")} />
        ) : (
          <p class="lw-quiet">{t("shared_empty")}</p>
        )}
      </Log>
      <div class="lw-shared-bar">
        <p class="lw-quiet">{t("continue_copy_hint", { owner: chat.owner })}</p>
        <button type="button" class="lw-primary" disabled={loading} onClick={() => sharing.copy()}>
          {t("continue_copy")}
        </button>
        <Menu label={t("chat_actions")} items={[["trash", t("leave_shared"), () => sharing.leave()]]} />
      </div>
    </>
  );
}
