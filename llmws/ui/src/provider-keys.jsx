/** The keys of a provider: what they are called, how they stand. What they are is never shown, for nobody knows it here. */
import { useRef } from "preact/hooks";
import { exactTime, relativeTime } from "./format.js";
import { IconButton } from "./icons.jsx";
import { has, t } from "./provider-strings.js";
import { isParked } from "./providers.js";

function KeyState({ item, onUnpark }) {
  if (!isParked(item)) {
    const used = item.last_used_at;
    return (
      <small title={used ? exactTime(used) : undefined}>
        {used ? t("key_used", { when: relativeTime(used) }) : t("key_unused")}
      </small>
    );
  }
  const why = item.parked_reason;
  const until = item.parked_until ? t("key_until", { when: relativeTime(item.parked_until) }) : t("key_until_told");
  return (
    <span class="lw-parked">
      <span class="lw-dot" data-state="stopped" />
      <small title={item.parked_until ? exactTime(item.parked_until) : undefined}>
        {[has(`parked_${why}`) ? t(`parked_${why}`) : why, until].join(" · ")}
      </small>
      <button type="button" class="lw-link" onClick={onUnpark}>
        {t("key_unpark")}
      </button>
    </span>
  );
}

/** Of several keys, how much of the work each gets. */
function Weight({ item, provider, page }) {
  return (
    <label class="lw-key-weight" title={t("key_weight_hint")}>
      <span>{t("key_weight")}</span>
      <input
        class="lw-input"
        inputMode="numeric"
        pattern="[1-9][0-9]{0,2}|1000"
        defaultValue={item.weight}
        onChange={(event) => {
          const { value, validity } = event.currentTarget;
          if (value && validity.valid) page.changeKey(provider, item, { weight: Number(value) });
          else event.currentTarget.value = item.weight;
        }}
      />
    </label>
  );
}

function Key({ item, provider, page, isOnly }) {
  return (
    <li class="lw-key">
      <strong>{item.label || t("key_unnamed")}</strong>
      <KeyState item={item} onUnpark={() => page.changeKey(provider, item, { parked: false })} />
      {!isOnly && <Weight item={item} provider={provider} page={page} />}
      <IconButton
        name="trash"
        label={t("key_delete", { name: item.label || t("key_unnamed") })}
        onClick={() => page.removeKey(provider, item)}
      />
    </li>
  );
}

/** The key's field is emptied before anything else happens: it is sent once, and lives nowhere on the page. */
function AddKey({ provider, page, vendor }) {
  const form = useRef();
  const onSubmit = async (event) => {
    event.preventDefault();
    const { secret, label } = form.current.elements;
    const typed = secret.value.trim();
    secret.value = "";
    if (!typed) return secret.focus();
    const named = label.value.trim();
    label.value = "";
    const done = await page.addKey(provider, { secret: typed, ...(named && { label: named }) });
    if (!done) label.value ||= named;
  };
  return (
    <form ref={form} class="lw-row-form" onSubmit={onSubmit} autocomplete="off" aria-label={t("key_add")}>
      <input
        class="lw-input"
        name="secret"
        type="password"
        required
        autocomplete="new-password"
        spellcheck={false}
        placeholder={vendor?.key_hint || t("key")}
        aria-label={t("key")}
        data-1p-ignore
        data-lpignore="true"
      />
      <input class="lw-input" name="label" maxLength={100} placeholder={t("key_label")} aria-label={t("key_label")} />
      <button type="submit" class="lw-button">
        {t("key_add")}
      </button>
    </form>
  );
}

export function KeysCard({ provider, page }) {
  const vendor = page.vendors.value.find((one) => one.id === provider.vendor);
  const keys = provider.keys ?? [];
  return (
    <section class="lw-card lw-keys" aria-label={t("keys")}>
      <header>
        <h3>{t("keys")}</h3>
      </header>
      {!keys.length && <p class="lw-quiet">{t(vendor?.needs_key ? "keys_missing" : "keys_none")}</p>}
      <ul>
        {keys.map((item) => (
          <Key key={item.id} item={item} provider={provider} page={page} isOnly={keys.length === 1} />
        ))}
      </ul>
      {page.owns(provider) && <AddKey provider={provider} page={page} vendor={vendor} />}
      <p class="lw-quiet">{t("key_promise")}</p>
    </section>
  );
}
