/** What every page stands in: its root with theme and language, the menu, the banner and the notices. */
import { effect, useSignal } from "@preact/signals";
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { home, reopenWhenGone } from "./dashboard.js";
import { Icon, IconButton } from "./icons.jsx";
import { chooseLanguage, chosenLanguage, followTheme } from "./page.js";
import { Popover } from "./popover.jsx";
import { said } from "./said.js";
import { language, pickLanguage, t } from "./strings.js";

const TOAST_MS = 8_000;

/** A button with a menu; `items` are `[icon, label, act]`, what is false is left out. */
export function Menu({ label, items }) {
  const open = useSignal(false);
  const close = () => {
    open.value = false;
  };
  return (
    <div class="lw-menu">
      <IconButton
        name="more"
        label={label}
        aria-haspopup="menu"
        aria-expanded={open.value}
        onClick={() => {
          open.value = !open.value;
        }}
      />
      {open.value && (
        <Popover role="menu" label={label} onClose={close}>
          {items.filter(Boolean).map(([icon, name, act]) => (
            <button
              key={icon}
              type="button"
              role="menuitem"
              class="lw-option"
              data-bad={icon === "trash"}
              onClick={() => {
                close();
                act();
              }}
            >
              <Icon name={icon} />
              {name}
            </button>
          ))}
        </Popover>
      )}
    </div>
  );
}

/** The way back from a dashboard to all of them. */
export function Home() {
  const href = home();
  if (!href) return null;
  return (
    <a class="lw-icon-button" href={href} title={t("all_dashboards")} aria-label={t("all_dashboards")}>
      <Icon name="home" />
    </a>
  );
}

/** The service or the kernel does not answer. */
export function Away({ page }) {
  if (!page.away.value && !page.silent.value) return null;
  return (
    <div class="lw-banner" role="status">
      <span class="lw-pulse" />
      {t(page.away.value ? "away" : "silent")}
    </div>
  );
}

/** It goes by itself, but from nobody who is at it: with the pointer, or with the focus. */
function Toast({ page, toast }) {
  const box = useRef();
  useEffect(() => {
    const leave = () => box.current.matches(":hover, :focus-within") || page.dismiss(toast);
    const timer = setInterval(leave, toast.bad ? 2 * TOAST_MS : TOAST_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="lw-toast" ref={box} data-bad={toast.bad}>
      <span>
        {said(toast.text)} {toast.remedy && <small>{said(toast.remedy)}</small>}
      </span>
      {toast.action && (
        <button
          type="button"
          onClick={() => {
            page.dismiss(toast);
            toast.act();
          }}
        >
          {toast.action}
        </button>
      )}
      <IconButton name="close" label={t("notice_hint")} onClick={() => page.dismiss(toast)} />
    </div>
  );
}

export function Toasts({ page }) {
  return (
    <div class="lw-toasts" role="status" aria-live="polite">
      {page.toasts.value.map((toast) => (
        <Toast key={toast.key} page={page} toast={toast} />
      ))}
    </div>
  );
}

/** What an input method does with keys while it composes is nobody else's business; 229 is what some report. */
function keepComposing(event) {
  if (event.isComposing || event.keyCode === 229) event.stopPropagation();
}

/** The front-end module of a page: `State` is made from the widget's model, `Page` shows it. */
export function mount(State, Page) {
  return {
    render({ model, el }) {
      const root = document.createElement("div");
      root.className = "lw";
      root.dataset.host = document.body.dataset.voila ? "voila" : "lab";
      root.addEventListener("keydown", keepComposing, true);
      el.append(root);
      language.value = pickLanguage(model.get("language"), chosenLanguage());
      const { theme, close: forgetTheme } = followTheme(model);
      const stopDressing = effect(() => {
        root.dataset.theme = theme.value;
        root.lang = language.value === "zh" ? "zh-CN" : "en";
      });
      const page = new State(model);
      const stopLooking = reopenWhenGone();
      const onLanguage = () => {
        language.value = language.value === "zh" ? "en" : "zh";
        chooseLanguage(language.value);
      };
      render(<Page page={page} theme={theme} onLanguage={onLanguage} />, root);
      return () => {
        render(null, root);
        page.close();
        forgetTheme();
        stopDressing();
        stopLooking();
      };
    },
  };
}
