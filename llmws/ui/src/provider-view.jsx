/** One provider: its address and who may use it, its keys, its models. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Field } from "./field.jsx";
import { IconButton } from "./icons.jsx";
import { KeysCard } from "./provider-keys.jsx";
import { Checked, Spent, sharedWith } from "./provider-list.jsx";
import { ModelsCard } from "./provider-models.jsx";
import { t } from "./provider-strings.js";
import { stateOf } from "./providers.js";
import { Segments } from "./segments.jsx";
import { Verdict } from "./verdict.jsx";

function Fact({ name, children }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Facts({ provider, page }) {
  const vendor = page.vendors.value.find((one) => one.id === provider.vendor);
  const address = provider.base_url ?? vendor?.base_url;
  return (
    <dl>
      <Fact name={t("vendor")}>{vendor?.name ?? provider.vendor}</Fact>
      {address && (
        <Fact name={t("address")}>
          <code>{address}</code>
        </Fact>
      )}
      <Fact name={t("used_by")}>{sharedWith(provider)}</Fact>
      <Fact name={t("spent_month")}>
        <span class="lw-spent">
          <Spent row={page.spend.value.get(provider.id)} />
        </span>
      </Fact>
      <Fact name={t("checked")}>
        <Checked at={provider.listed_at} />
      </Fact>
      {provider.only.length > 0 && <Fact name={t("only")}>{provider.only.join(t("comma"))}</Fact>}
      {provider.fallbacks.length > 0 && <Fact name={t("fallbacks")}>{provider.fallbacks.join(" → ")}</Fact>}
    </dl>
  );
}

const lines = (text) =>
  text
    .split(/[\n,，]/)
    .map((line) => line.trim())
    .filter(Boolean);

/** What of a provider may be changed; the fields keep what is typed, whatever comes in meanwhile. */
function EditForm({ provider, page, onClose }) {
  const vendor = page.vendors.value.find((one) => one.id === provider.vendor);
  const form = useRef();
  const saving = useSignal(false);
  const shown = provider.base_url ?? vendor?.base_url ?? "";
  useLayoutEffect(() => form.current.querySelector("input").focus(), []);
  const onSubmit = async (event) => {
    event.preventDefault();
    const data = new FormData(form.current);
    const base_url = String(data.get("base_url") ?? shown).trim();
    const changes = {
      name: data.get("name").trim() || provider.name,
      ...(base_url !== shown && { base_url: base_url === vendor?.base_url ? "" : base_url }),
      only: lines(data.get("only")),
      fallbacks: lines(data.get("fallbacks")),
    };
    saving.value = true;
    const done = await page.change(provider, changes);
    saving.value = false;
    // Another form may be open by now.
    if (done && form.current) onClose();
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    onClose();
  };
  return (
    <form ref={form} class="lw-edit" onSubmit={onSubmit} onKeyDown={onKeyDown} aria-label={t("edit")}>
      <Field label={t("name")} name="name" required maxLength={100} defaultValue={provider.name} />
      <Field
        label={t("address")}
        name="base_url"
        type="url"
        class="lw-mono"
        required={!vendor?.base_url}
        defaultValue={shown}
        disabled={!page.owns(provider)}
      />
      <Field
        label={t("only")}
        name="only"
        class="lw-mono"
        placeholder={t("only_all")}
        defaultValue={provider.only.join(", ")}
        hint={t("only_hint")}
      />
      <Field
        label={t("fallbacks")}
        name="fallbacks"
        class="lw-mono"
        placeholder={t("fallbacks_none")}
        defaultValue={provider.fallbacks.join(", ")}
        hint={t("fallbacks_hint")}
      />
      <div class="lw-add-bar">
        <button type="button" class="lw-button" onClick={onClose}>
          {t("cancel")}
        </button>
        <button type="submit" class="lw-primary" disabled={saving.value}>
          {t("save")}
        </button>
      </div>
    </form>
  );
}

function AboutCard({ provider, page, editing }) {
  const mine = page.manages(provider);
  return (
    <section class="lw-card lw-about" aria-label={t("about_provider")}>
      <header>
        <h3>{t("about_provider")}</h3>
        {mine && (
          <label class="lw-switch">
            <input
              type="checkbox"
              role="switch"
              aria-checked={provider.enabled}
              checked={provider.enabled}
              onChange={(event) => page.change(provider, { enabled: event.currentTarget.checked })}
            />
            {t("enabled")}
          </label>
        )}
        {mine && !editing.value && (
          <IconButton
            name="pencil"
            label={t("edit")}
            onClick={() => {
              editing.value = true;
            }}
          />
        )}
      </header>
      {editing.value && mine ? (
        <EditForm
          provider={provider}
          page={page}
          onClose={() => {
            editing.value = false;
          }}
        />
      ) : (
        <Facts provider={provider} page={page} />
      )}
    </section>
  );
}

/** With whom an administrator shares a provider. */
function SharingCard({ provider, page }) {
  const kind = useSignal("group");
  const name = useRef();
  const onSubmit = async (event) => {
    event.preventDefault();
    const grantee = name.current.value.trim();
    if (!grantee) return;
    // The next may be typed while this one is on its way.
    name.current.value = "";
    const done = await page.share(provider, kind.value, grantee);
    if (!done && name.current) name.current.value ||= grantee;
  };
  return (
    <section class="lw-card" aria-label={t("sharing")}>
      <header>
        <h3>{t("sharing")}</h3>
      </header>
      {!provider.shared_with.length && <p class="lw-quiet">{t("sharing_none")}</p>}
      <ul class="lw-grants">
        {provider.shared_with.map((grant) => (
          <li key={`${grant.kind} ${grant.grantee}`}>
            <span class="lw-tag">{t(`kind_${grant.kind}`)}</span>
            <span>{grant.grantee}</span>
            <IconButton
              name="close"
              label={t("unshare", { name: grant.grantee })}
              onClick={() => page.unshare(provider, grant)}
            />
          </li>
        ))}
      </ul>
      <form class="lw-row-form" onSubmit={onSubmit}>
        <Segments
          label={t("share_whom")}
          choices={["group", "person"]}
          chosen={kind}
          says={(one) => t(`kind_${one}`)}
        />
        <input
          ref={name}
          class="lw-input"
          required
          maxLength={255}
          aria-label={t(`kind_${kind.value}`)}
          placeholder={t(`kind_${kind.value}_hint`)}
        />
        <button type="submit" class="lw-button">
          {t("share")}
        </button>
      </form>
    </section>
  );
}

export function ProviderView({ page, editing }) {
  const provider = page.open.value;
  const { problem } = stateOf(provider);
  const verdict = page.verdict.value ?? (problem ? { ok: false, ...problem } : null);
  const mine = page.manages(provider);
  const shares = page.me.value.hub && page.may("administer") && page.owns(provider);
  return (
    <>
      {verdict && (
        <Verdict
          verdict={verdict}
          onClose={
            page.verdict.value &&
            (() => {
              page.verdict.value = null;
            })
          }
        />
      )}
      <div class="lw-two">
        <AboutCard provider={provider} page={page} editing={editing} />
        <div class="lw-stack">
          {mine && <KeysCard provider={provider} page={page} />}
          {shares && <SharingCard provider={provider} page={page} />}
        </div>
      </div>
      <ModelsCard provider={provider} page={page} />
    </>
  );
}
