// Charts by uPlot in the page's colours. It sets styles through the CSSOM alone, which the content security policy allows.

import { clock, short } from "./format.js";

const uPlot = window.uPlot;
const dark = matchMedia("(prefers-color-scheme: dark)");
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const AXIS = 52; // pixels, of every vertical axis, so that charts stand in line

/** The page's colours, as they are now. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** A chart in a box, as wide and high as that; made anew when the colours change.
 *
 * make(colour) gives uPlot's options. Returns draw(data), and the uPlot as `now()`. */
function chart(box, make, label) {
  let plot = null;
  let data = null;
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);

  const size = () => ({ width: Math.max(box.clientWidth, 50), height: Math.max(box.clientHeight, 50) });
  function build() {
    plot?.destroy();
    plot = data && new uPlot({ ...size(), ...common(make(palette())) }, data, box);
  }
  dark.addEventListener("change", build);
  new ResizeObserver(() => plot && box.clientWidth && plot.setSize(size())).observe(box);
  return {
    now: () => plot,
    label: (text) => box.setAttribute("aria-label", text),
    draw(columns) {
      data = columns;
      if (!box.clientWidth) return; // hidden
      if (plot) plot.setData(columns);
      else build();
    },
  };
}

function common(options) {
  const { cursor, ...more } = options;
  return { legend: { show: false }, padding: [8, 22, 0, 0], ...more, cursor: { drag: { x: false, y: false }, ...cursor } };
}

const axis = (colour, more) => ({
  stroke: colour("soft"),
  font: FONT,
  grid: { stroke: colour("line"), width: 1 },
  ticks: { show: false },
  border: { show: false },
  ...more,
});
const upright = (colour, values) =>
  axis(colour, { size: AXIS, gap: 8, space: 28, values: (_, splits) => splits.map(values) });
const line = (stroke, more) => ({ stroke, width: 1.5, points: { size: 4 }, ...more });
const bound = { stroke: "transparent", width: 0, points: { show: false } };

/** Seconds of the last minutes. series(colour): uPlot's, after the times; told(index): the cursor is there, or nowhere. */
export function overTime(box, label, { series, values, least, told }) {
  const make = (colour) => ({
    scales: {
      x: { time: false, range: (plot) => [plot.data[0][0], plot.data[0].at(-1)] },
      y: { range: (_, low, high) => [0, Math.max(least, (high ?? 0) * 1.08)] },
    },
    axes: [
      axis(colour, {
        size: 26,
        gap: 6,
        space: 76,
        incrs: [60, 120, 300],
        values: (_, splits) => splits.map((s) => clock(s * 1000).slice(0, 5)),
      }),
      upright(colour, values),
    ],
    series: [{}, ...series(colour).map((one) => line(one.stroke, one))],
    cursor: { sync: { key: "service" }, y: false, points: { size: 6 } },
    hooks: { setCursor: [(plot) => told(plot.cursor.idx ?? null)] },
  });
  return chart(box, make, label);
}

const slots = { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] };

/** A stream's values: [x, actual, predicted, lower, upper, forecast, lower, upper]. name(x): what stands below. */
export function values(box, label, { range, name, told }) {
  const make = (colour) => ({
    scales: { x: { time: false, range }, y: { range: spread } },
    axes: [
      axis(colour, { size: 26, gap: 6, space: 84, ...slots, values: (_, splits) => splits.map(name) }),
      upright(colour, short),
    ],
    series: [
      {},
      line(colour("actual"), { points: { size: 4, fill: colour("actual") } }),
      line(colour("predicted"), { width: 1.75 }),
      bound,
      bound,
      line(colour("predicted"), { width: 1.75, dash: [5, 4], points: { show: false } }),
      bound,
      bound,
    ],
    bands: [
      { series: [4, 3], fill: colour("band") },
      { series: [7, 6], fill: colour("band-ahead") },
    ],
    cursor: { sync: { key: "stream" }, y: false, points: { show: false } },
    hooks: { setCursor: [(plot) => told(plot.cursor.idx ?? null)] },
  });
  return chart(box, make, label);
}

function spread(_, low, high) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/** The surprise of each of those events: [x, surprise]. */
export function surprises(box, label, { range }) {
  const make = (colour) => ({
    scales: { x: { time: false, range }, y: { range: (_, __, high) => [0, Math.max(3, (high ?? 0) * 1.1)] } },
    axes: [axis(colour, { size: 8, space: 84, ...slots, values: () => [] }), upright(colour, short)],
    series: [
      {},
      {
        stroke: colour("surprise"),
        fill: colour("surprise"),
        width: 0,
        paths: uPlot.paths.bars({ size: [0.6, 8] }),
        points: { show: false },
      },
    ],
    cursor: { sync: { key: "stream" }, y: false, points: { show: false } },
  });
  return chart(box, make, label);
}
