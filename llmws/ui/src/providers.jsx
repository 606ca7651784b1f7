/** The page of providers: accounts with their models, what was used, and limits. One root, three views. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon, IconButton } from "./icons.jsx";
import { LimitsView } from "./limits.jsx";
import { AddForm, VendorChoice } from "./provider-form.jsx";
import { ProviderList, State } from "./provider-list.jsx";
import { t } from "./provider-strings.js";
import { ProviderView } from "./provider-view.jsx";
import { Providers } from "./providers.js";
import { Away, Home, Menu, mount, Toasts } from "./shell.jsx";
import { Talk } from "./talk.jsx";
import { UsageView } from "./usage.jsx";
import "./sheet.css";
import "./providers.css";
import "./report.css";

function Tabs({ page }) {
  const tabs = ["providers", "usage", "limits"].filter((tab) => tab !== "providers" || page.may("configure"));
  return (
    <nav class="lw-tabs" aria-label={t("views")}>
      {tabs.map((tab) => (
        <button
          key={tab}
          type="button"
          aria-current={page.tab.value === tab ? "page" : undefined}
          onClick={() => page.go(tab)}
        >
          {t(`tab_${tab}`)}
        </button>
      ))}
    </nav>
  );
}

function titleOf(page) {
  const vendor = page.vendors.value.find((one) => one.id === page.adding.value);
  if (vendor) return t("add_one", { name: vendor.name });
  if (page.adding.value === "") return t("add");
  return page.open.value?.name ?? t(page.may("configure") ? "providers" : "tab_usage");
}

function Actions({ page }) {
  const provider = page.open.value;
  if (provider)
    return (
      page.owns(provider) && (
        <button
          type="button"
          class="lw-button"
          disabled={page.busy.value.has("test")}
          onClick={() => page.retest(provider)}
        >
          {page.busy.value.has("test") && <span class="lw-pulse" />}
          {t("test")}
        </button>
      )
    );
  if (page.tab.value !== "providers" || page.adding.value !== null || !page.may("configure")) return null;
  // The page itself asks for the first one.
  if (!page.providers.value.length) return null;
  return (
    <button type="button" class="lw-primary" onClick={() => page.startAdding()}>
      <Icon name="plus" />
      <span class="lw-wide">{t("add")}</span>
    </button>
  );
}

function Header({ page, editing, onLanguage }) {
  const provider = page.open.value;
  const inside = provider || page.adding.value !== null;
  const mine = provider && page.manages(provider);
  return (
    <header class="lw-head">
      {!inside && <Home />}
      {inside && <IconButton name="back" label={t("go_back")} onClick={() => page.leave()} />}
      <h2 class={inside ? "" : "lw-hidden"} title={titleOf(page)}>
        {titleOf(page)}
      </h2>
      {provider && <State provider={provider} />}
      {!inside && page.me.value && <Tabs page={page} />}
      <span class="lw-head-actions">
        <Actions page={page} />
      </span>
      <Menu
        label={t("page_actions")}
        items={[
          mine && [
            "pencil",
            t("edit"),
            () => {
              editing.value = true;
            },
          ],
          mine && ["trash", t("delete"), () => page.remove(provider)],
          ["globe", t("language"), onLanguage],
        ]}
      />
    </header>
  );
}

/** The page could not be filled; a notice says why. */
function Unloaded({ page }) {
  return (
    <div class="lw-empty lw-providers-empty" role="alert">
      <Icon name="alert" />
      <h2>{t("load_failed")}</h2>
      <button type="button" class="lw-button" onClick={() => page.start()}>
        {t("retry")}
      </button>
    </div>
  );
}

function Body({ page, theme, editing }) {
  if (page.loading.value || (page.openId.value && !page.open.value))
    return <div class="lw-skeleton" role="status" aria-label={t("loading")} />;
  if (!page.me.value) return <Unloaded page={page} />;
  if (page.tab.value === "usage") return <UsageView page={page} theme={theme} />;
  if (page.tab.value === "limits") return <LimitsView page={page} />;
  if (page.adding.value === "") return <VendorChoice page={page} />;
  if (page.adding.value !== null) return <AddForm page={page} key={page.adding.value} />;
  return page.open.value ? <ProviderView page={page} editing={editing} /> : <ProviderList page={page} />;
}

/** Where something is written Escape is about that: a search is cleared, and no key is lost that was just typed. */
const holdsText = (element) =>
  element.matches("textarea, input:not([type=checkbox], [type=radio])") && element.value !== "";

function Page({ page, theme, onLanguage }) {
  const editing = useSignal(false);
  const root = useRef();
  const box = useRef();
  const place = `${page.tab.value} ${page.openId.value} ${page.adding.value}`;
  useLayoutEffect(() => {
    editing.value = false;
    box.current.scrollTop = 0;
    // What had the focus is gone with the place that was left; the keys go on here.
    if (page.me.value && document.activeElement === document.body) root.current.focus({ preventScroll: true });
  }, [place]);
  const onKeyDown = (event) => {
    // What is typed here is no business of the notebook.
    event.stopPropagation();
    const inside = page.openId.value || page.adding.value !== null;
    if (event.key === "Escape" && !event.defaultPrevented && inside && !holdsText(event.target)) page.leave();
  };
  return (
    <div ref={root} tabIndex={-1} class="lw-page lw-providers" data-lm-suppress-shortcuts="true" onKeyDown={onKeyDown}>
      <main class="lw-main">
        <Header page={page} editing={editing} onLanguage={onLanguage} />
        <Away page={page} />
        <div class="lw-scroll" ref={box}>
          <div class="lw-sheet">
            <Body page={page} theme={theme} editing={editing} />
          </div>
        </div>
        <Toasts page={page} />
      </main>
      {page.talk.value && <Talk page={page} from={page.open.value?.name ?? ""} key={page.talk.value} />}
    </div>
  );
}

export default mount(Providers, Page);
