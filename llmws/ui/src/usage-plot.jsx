/** A bar per day: what was spent in a currency, or how many calls there were. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { count, short, sum } from "./format.js";
import { t } from "./provider-strings.js";
import { Segments } from "./segments.jsx";
import { dayOf } from "./usage.js";
import "uplot/dist/uPlot.min.css";

const HEIGHT = 170;
const DAY_S = 86_400;

/** A value for each day of `usage`, those without any included: a gap is a day on which nothing was used. */
function series({ days, first, last }, measure) {
  const known = new Map(days.map((row) => [dayOf(row.day), measure(row)]));
  const [begin, end] = [first, last].map((day) => Date.parse(day) / 1000);
  const xs = Array.from({ length: Math.round((end - begin) / DAY_S) + 1 }, (_, index) => begin + index * DAY_S);
  return [xs, xs.map((at) => known.get(dayOf(at)) ?? 0)];
}

function options(box, says, onCursor) {
  const style = getComputedStyle(box);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--text-soft"),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour("--line-soft"), width: 1 },
    ticks: { show: false },
  };
  const day = (at) => dayOf(at).slice(5);
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { setScale: false } },
    scales: {
      x: { time: false, range: (_, first, last) => [first - DAY_S * 0.6, last + DAY_S * 0.6] },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 30,
        gap: 6,
        incrs: [1, 2, 5, 7, 14].map((n) => n * DAY_S),
        values: (_, at) => at.map(day),
      },
      {
        ...axis,
        size: 58,
        gap: 8,
        space: 44,
        values: (_, at) => at.map(says),
      },
    ],
    series: [
      {},
      {
        fill: colour("--accent"),
        stroke: colour("--accent"),
        width: 0,
        paths: uPlot.paths.bars({ size: [0.6, 28], radius: 0.15 }),
        points: { show: false },
      },
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx)] },
  };
}

export function UsagePlot({ usage, currencies, theme }) {
  const box = useRef();
  const under = useSignal(null);
  const paid = currencies.find((currency) => usage.days.some(({ costs }) => Number(costs?.[currency]) > 0));
  const shown = useSignal(paid ?? "calls");
  const measures = [...currencies, "calls", "tokens"];
  const what = measures.includes(shown.value) ? shown.value : measures[0];
  const says = (value) => (currencies.includes(what) ? sum(value, what) : short(value));
  const measure = {
    calls: (row) => row.calls,
    tokens: (row) => row.input_tokens + row.output_tokens,
  }[what];
  const data = series(usage, measure ?? ((row) => Number(row.costs?.[what] ?? 0)));
  const told = (at) =>
    at == null ? t("per_day") : `${dayOf(data[0][at])}: ${measure ? count(data[1][at]) : says(data[1][at])}`;
  useLayoutEffect(() => {
    const plot = new uPlot(
      options(box.current, says, (at) => {
        under.value = at ?? null;
      }),
      data,
      box.current,
    );
    const observer = new ResizeObserver(() => {
      if (box.current?.clientWidth) plot.setSize({ width: box.current.clientWidth, height: HEIGHT });
    });
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [usage, theme, what]);
  return (
    <div class="lw-usage-plot">
      <p>
        <small class="lw-number">{told(under.value)}</small>
        <Segments
          label={t("measure")}
          choices={measures}
          chosen={shown}
          says={(one) => (currencies.includes(one) ? one : t(`measure_${one}`))}
        />
      </p>
      <div ref={box} role="img" aria-label={t("per_day")} data-days={data[0].length} />
    </div>
  );
}
