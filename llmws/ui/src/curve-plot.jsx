/** The loss as it falls: drawn by uPlot, which takes ten thousand points without a pause. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { count, loss as lossOf } from "./format.js";
import { t } from "./strings.js";
import "uplot/dist/uPlot.min.css";

const HEIGHT = 260;

function options(box, smooth, onCursor) {
  const style = getComputedStyle(box);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--text-soft"),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour("--line-soft"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding: [12, 12, 0, 0],
    legend: { show: false },
    cursor: { points: { size: 7 }, drag: { setScale: false } },
    scales: {
      x: { time: false, range: (_, first, last) => widened(first, last) },
      y: { range: (_, least, most) => ranged(least, most) },
    },
    axes: [
      { ...axis, size: 34, gap: 8, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000] },
      { ...axis, size: 46, gap: 8, values: (_, values) => values.map((value) => count(value)) },
    ],
    series: [
      {},
      { stroke: colour("--curve-train"), width: smooth ? 1 : 2, alpha: smooth ? 0.3 : 1, points: { show: false } },
      { stroke: colour("--curve-train"), width: 2.2, show: smooth, points: { show: false } },
      { stroke: colour("--curve-eval"), width: 2, spanGaps: true, points: { show: true, size: 6 } },
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx)] },
  };
}

/** One step alone has a width, too. */
const widened = (first, last) => (first == null ? [0, 10] : [first, Math.max(last, first + 1)]);

/** From a little below the lowest to a little above the highest. */
function ranged(least, most) {
  if (least == null || most == null) return [0, 1];
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  return [Math.max(0, least - room), most + room];
}

function Legend({ curve, at, smooth }) {
  const told = (values) => (values[at] == null ? "–" : lossOf(values[at]));
  const evaluated = curve.evaluation.some((value) => value != null);
  return (
    <p class="lw-curve-legend">
      <span>{t("step", { n: at < 0 ? "–" : count(curve.steps[at]) })}</span>
      <span data-series="train">
        {t("loss_train")} <b>{told(smooth ? curve.smooth : curve.train)}</b>
      </span>
      {evaluated && (
        <span data-series="eval">
          {t("loss_eval")} <b>{lossOf(latest(curve.evaluation, at))}</b>
        </span>
      )}
    </p>
  );
}

/** What was last measured up to a place. */
const latest = (values, at) => values.slice(0, at + 1).findLast((value) => value != null);

/** `version` counts what was added to `curve`; `theme` and `smooth` change how it looks. */
export function CurvePlot({ curve, version, theme }) {
  const box = useRef();
  const plot = useRef();
  const smooth = useSignal(false);
  const under = useSignal(null);
  const data = () => [curve.steps, curve.train, curve.smooth, curve.evaluation];
  useLayoutEffect(() => {
    plot.current = new uPlot(
      options(box.current, smooth.value, (at) => {
        under.value = at ?? null;
      }),
      data(),
      box.current,
    );
    return () => plot.current.destroy();
  }, [curve, theme, smooth.value]);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => {
      if (box.current?.clientWidth) plot.current.setSize({ width: box.current.clientWidth, height: HEIGHT });
    });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const frame = requestAnimationFrame(() => plot.current.setData(data()));
    return () => cancelAnimationFrame(frame);
  }, [curve, version]);
  const at = Math.min(under.value ?? curve.last, curve.last);
  return (
    <section class="lw-card lw-curve">
      <header>
        <h3>{t("loss")}</h3>
        <Legend curve={curve} at={at} smooth={smooth.value} />
        <label class="lw-switch">
          <input
            type="checkbox"
            role="switch"
            aria-checked={smooth.value}
            checked={smooth.value}
            onChange={(event) => {
              smooth.value = event.currentTarget.checked;
            }}
          />
          {t("smooth")}
        </label>
      </header>
      <div
        class="lw-curve-plot"
        role="img"
        aria-label={t("loss_told", {
          loss: curve.last < 0 ? "–" : lossOf(latest(curve.train, curve.last) ?? 0),
          step: curve.last < 0 ? "–" : count(curve.steps[curve.last]),
        })}
        data-points={curve.steps.length}
        ref={box}
      >
        {curve.last < 0 && <p class="lw-quiet lw-curve-none">{t("loss_none")}</p>}
      </div>
    </section>
  );
}
