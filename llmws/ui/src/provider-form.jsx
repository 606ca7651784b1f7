/**
 * Adding a provider: choose the vendor, fill in what its row of the catalogue asks, test, keep.
 *
 * A key goes from its field into one message to the kernel, and the field is emptied at once. Until the form closes the
 * key lies in `useSecret`'s closure, so that a wrong address need not cost a second paste; it is in no signal, no
 * attribute and no trait.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import { drawn } from "./drawn.js";
import { Field } from "./field.jsx";
import { Icon } from "./icons.jsx";
import { walk } from "./popover.jsx";
import { Monogram } from "./provider-list.jsx";
import { t } from "./provider-strings.js";
import { newKey } from "./providers.js";
import { Verdict } from "./verdict.jsx";

/** Whether a vendor runs elsewhere and wants a key; the others are servers of one's own. */
const isHosted = (vendor) => vendor.needs_key;
const canBeAdded = (vendor) => vendor.wire !== "echo" && vendor.id !== "embedded";

/** Whether a test failed for the key, which then has to be typed again. */
const isAboutKey = (verdict) => ["wrong_key", "no_key", "provider_auth"].includes(verdict?.code);

function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

function VendorTile({ vendor, page }) {
  return (
    <li>
      <button type="button" class="lw-vendor" onClick={() => page.startAdding(vendor.id)}>
        <Monogram name={vendor.name} />
        <span>
          <strong>{vendor.name}</strong>
          <small>{vendor.base_url ? hostOf(vendor.base_url) : t("vendor_any")}</small>
        </span>
      </button>
    </li>
  );
}

export function VendorChoice({ page }) {
  const query = useSignal("");
  const search = useRef();
  useLayoutEffect(() => search.current.focus({ preventScroll: true }), []);
  const wanted = query.value.trim().toLowerCase();
  const matches = (vendor) => `${vendor.name} ${vendor.id} ${vendor.base_url}`.toLowerCase().includes(wanted);
  const found = page.vendors.value.filter((vendor) => canBeAdded(vendor) && matches(vendor));
  const groups = [
    ["vendors_hosted", found.filter(isHosted)],
    ["vendors_own", found.filter((vendor) => !isHosted(vendor))],
  ];
  return (
    <div class="lw-vendors" onKeyDown={walk("input, .lw-vendor")}>
      <label class="lw-search lw-search-box">
        <Icon name="search" />
        <input
          ref={search}
          type="search"
          placeholder={t("vendor_find")}
          aria-label={t("vendor_find")}
          onInput={(event) => {
            query.value = event.currentTarget.value;
          }}
        />
      </label>
      {groups.map(
        ([title, vendors]) =>
          vendors.length > 0 && (
            <section key={title}>
              <h3>{t(title)}</h3>
              <ul class="lw-vendor-tiles">
                {vendors.map((vendor) => (
                  <VendorTile key={vendor.id} vendor={vendor} page={page} />
                ))}
              </ul>
            </section>
          ),
      )}
      {!found.length && <p class="lw-note">{t("vendor_none")}</p>}
    </div>
  );
}

/** A key between its field and the message that sends it; `take` empties the field. */
function useSecret() {
  const field = useRef();
  const held = useRef(null);
  const holds = useSignal(false);
  useEffect(
    () => () => {
      held.current = null;
    },
    [],
  );
  return {
    field,
    holds,
    take() {
      const typed = field.current?.value.trim();
      if (field.current) field.current.value = "";
      if (typed) held.current = typed;
      holds.value = held.current !== null;
      return held.current;
    },
    forget() {
      held.current = null;
      holds.value = false;
    },
  };
}

function SecretField({ secret, label, hint, describedBy, required }) {
  if (secret.holds.value)
    return (
      <div class="lw-field">
        <span class="lw-field-head">{label}</span>
        <span class="lw-held">
          <Icon name="check" />
          {t("key_held")}
          <button type="button" class="lw-link" onClick={() => secret.forget()}>
            {t("replace")}
          </button>
        </span>
      </div>
    );
  return (
    <label class="lw-field">
      <span class="lw-field-head">{label}</span>
      <input
        ref={secret.field}
        class="lw-input"
        type="password"
        autocomplete="new-password"
        spellcheck={false}
        placeholder={hint}
        required={required}
        aria-describedby={describedBy}
        data-1p-ignore
        data-lpignore="true"
      />
    </label>
  );
}

/** What the fields of the form say; what is left empty is left to the service. */
function read(form, vendor) {
  const data = new FormData(form);
  const written = (name) => String(data.get(name) ?? "").trim();
  const base_url = written("base_url");
  return { name: written("name") || null, base_url: base_url && base_url !== vendor.base_url ? base_url : null };
}

/** Tests and adds what a form says; `verdict` is the last test's, `doing` what is under way. */
function useAdding(page, vendor, secret, form) {
  const verdict = useSignal(null);
  const doing = useSignal(null);
  const key = useRef(newKey());
  // Who has left the form is told all the same what went wrong.
  const judge = (told) => {
    if (form.current) verdict.value = told;
    else if (!told.ok) page.fail(told);
  };
  const ask = async (what, intent, values, apply) => {
    if (doing.value) return;
    const focused = document.activeElement;
    const typed = secret.take();
    doing.value = what;
    verdict.value = null;
    try {
      await page.comm.call(intent, { vendor: vendor.id, ...values, ...(typed && { secret: typed }) }, apply);
    } catch (error) {
      if (!page.noticeAway(error)) {
        key.current = newKey();
        judge({ ok: false, ...error });
      }
    }
    doing.value = null;
    if (isAboutKey(verdict.value)) {
      secret.forget();
      await drawn();
      // Not from another field that is being filled in by now.
      if ([focused, document.body].includes(document.activeElement)) secret.field.current?.focus();
    }
  };
  return {
    verdict,
    doing,
    test: ({ base_url }) => ask("test", "test", { base_url }, judge),
    add: (values, anyway = false) =>
      ask("add", "add", { ...values, key: key.current, anyway }, (told) =>
        told.shown ? page.added(told, form.current !== null) : judge(told.verdict),
      ),
  };
}

export function AddForm({ page }) {
  const vendor = page.vendors.value.find((one) => one.id === page.adding.value);
  const secret = useSecret();
  const form = useRef();
  const hint = useId();
  const { verdict, doing, test, add } = useAdding(page, vendor, secret, form);
  useLayoutEffect(
    () => form.current.querySelector(vendor.base_url ? "[type=password]" : "[name=base_url]")?.focus(),
    [],
  );
  const filled = (act) => (event) => {
    event.preventDefault();
    if (form.current.reportValidity()) act(read(form.current, vendor));
  };
  const failed = verdict.value && !verdict.value.ok;
  return (
    <form ref={form} class="lw-add" onSubmit={filled(add)} aria-label={t("add_one", { name: vendor.name })}>
      <SecretField
        secret={secret}
        label={t(vendor.needs_key ? "key" : "key_optional")}
        hint={vendor.key_hint}
        describedBy={hint}
        required={vendor.needs_key}
      />
      <p class="lw-quiet" id={hint}>
        {t("key_promise")}
        {/^https:\/\//.test(vendor.docs) && (
          <a href={vendor.docs} target="_blank" rel="noreferrer noopener">
            {t("vendor_docs", { name: vendor.name })}
          </a>
        )}
      </p>
      <Field
        label={t("address")}
        name="base_url"
        type="url"
        class="lw-mono"
        required
        defaultValue={vendor.base_url}
        placeholder="http://…/v1"
      />
      <Field label={t("name")} note={t("optional")} name="name" maxLength={100} placeholder={vendor.name} />
      <div class="lw-add-bar">
        {failed && !isAboutKey(verdict.value) && (
          <button type="button" class="lw-link" disabled={doing.value} onClick={filled((values) => add(values, true))}>
            {t("add_anyway")}
          </button>
        )}
        <button type="button" class="lw-button" disabled={Boolean(doing.value)} onClick={filled(test)}>
          {doing.value === "test" && <span class="lw-pulse" />}
          {t("test")}
        </button>
        <button type="submit" class="lw-primary" disabled={Boolean(doing.value)}>
          {doing.value === "add" && <span class="lw-pulse" />}
          {t("add")}
        </button>
      </div>
      <div class="lw-verdict-place" aria-live="polite">
        {verdict.value && <Verdict verdict={verdict.value} />}
      </div>
    </form>
  );
}
