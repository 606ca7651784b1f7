/** The chat page, a widget of its own, in place of what led to its model. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { cover } from "./cover.jsx";
import { t } from "./strings.js";

/** `page.talk` holds the widget's id; `from` is what the way back is called. */
export function Talk({ page, from }) {
  const sheet = useRef();
  const box = useRef();
  useLayoutEffect(() => cover(sheet.current), []);
  useEffect(() => {
    const manager = page.model.widget_manager;
    let view;
    let closed = false;
    const show = async () => {
      view = await manager.create_view(await manager.get_model(page.talk.value));
      if (closed) view.remove();
      else box.current.append(view.el);
    };
    show().catch((problem) => page.fail({ message: String(problem) }));
    return () => {
      closed = true;
      view?.remove();
    };
  }, []);
  return (
    <div class="lw-talk" ref={sheet}>
      <header class="lw-head">
        <button
          type="button"
          class="lw-link"
          onClick={() => {
            page.talk.value = null;
          }}
        >
          {t("back_to", { name: from })}
        </button>
      </header>
      <div class="lw-talk-page" ref={box} />
    </div>
  );
}
