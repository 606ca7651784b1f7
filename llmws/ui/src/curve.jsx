/** The loss as it falls: drawn by uPlot, which takes ten thousand points without a pause. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { count, loss as lossOf } from "./format.js";
import { t } from "./strings.js";
import "uplot/dist/uPlot.min.css";

const SMOOTHING = 0.9;
const HEIGHT = 260;

/** Steps with train and evaluation loss, in order; a step that is told again is replaced. */
export class Curve {
  steps = [];
  train = [];
  evaluation = [];
  smooth = [];
  #mean = 0;
  #weight = 0;

  add(rows) {
    let from = this.steps.length;
    for (const [step, train, evaluation] of rows) {
      let at = this.steps.length;
      while (at > 0 && this.steps[at - 1] >= step) at--;
      const again = this.steps[at] === step ? 1 : 0;
      this.steps.splice(at, again, step);
      this.train.splice(at, again, train);
      this.evaluation.splice(at, again, evaluation);
      from = Math.min(from, at);
    }
    this.#smoothen(from < this.smooth.length ? 0 : from);
  }

  get last() {
    return this.steps.length - 1;
  }

  /** A running mean that does not lean on its beginning. */
  #smoothen(from) {
    if (from === 0) {
      this.#mean = this.#weight = 0;
      this.smooth = [];
    }
    for (let at = from; at < this.steps.length; at++) {
      if (this.train[at] != null) {
        this.#mean = SMOOTHING * this.#mean + (1 - SMOOTHING) * this.train[at];
        this.#weight = SMOOTHING * this.#weight + (1 - SMOOTHING);
      }
      this.smooth.push(this.train[at] != null ? this.#mean / this.#weight : null);
    }
  }
}

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
    scales: { x: { time: false }, y: { range: (_, least, most) => ranged(least, most) } },
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
  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (box.current.clientWidth) plot.current.setSize({ width: box.current.clientWidth, height: HEIGHT });
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
      />
    </section>
  );
}
