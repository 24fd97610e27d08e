// The three charts of a room, drawn by uPlot: stacked shares, lines, and the path of valence and arousal.

import uPlot from "./vendor/uPlot.esm.js";
import { minuteTime, percent } from "./format.js";
import { canvasFill } from "./labels.js";
import { say, sayWord } from "./words.js";

export const DENSE = 300; // from so many steps on, the lines between areas would hide them
const STRIP = 24; // px, height of a strip above the plot

/** The page's colours as the canvas needs them; another theme, other colours. */
function inks() {
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: ink("text"), soft: ink("soft"), line: ink("line"), surface: ink("surface"), raised: ink("raised"), accent: ink("accent"),
    fault: ink("fault"), faultSoft: ink("fault-soft"), good: ink("good"), accentSoft: ink("accent-soft"), strong: ink("line-strong"),
    font: `12px ${style.fontFamily}`,
  };
}

function axes(ink, y) {
  const common = {
    stroke: ink.soft, font: ink.font, grid: { stroke: ink.line, width: 1 }, ticks: { stroke: ink.line, width: 1, size: 4 },
  };
  return [{ ...common, size: 30, space: 70, values: timeLabels }, { ...common, size: 46, space: 28, ...y }];
}

const days = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric" });

function timeLabels(chart, splits) {
  const step = splits[1] - splits[0];
  let before = "";
  return splits.map((ts) => {
    const day = days.format(ts * 1000);
    if (step >= 86_000) return day;
    const text = before && before !== day ? day : minuteTime(ts);
    before = day;
    return text;
  });
}

function timeOptions(ink, view, select) {
  return {
    legend: { show: false },
    scales: { x: { time: true, range: () => [view.start, view.end] } },
    cursor: {
      y: false, sync: { key: "room" }, points: { show: false }, drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => () => { select(null); return null; } },
    },
    hooks: {
      setSelect: [(chart) => {
        if (chart.select.width < 8) return;
        const start = chart.posToVal(chart.select.left, "x");
        const end = chart.posToVal(chart.select.left + chart.select.width, "x");
        chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        select({ start, end });
      }],
    },
  };
}

/**
 * Shares stacked to 100 %, what is most pleasant at the bottom; above them the activity in force and the episodes.
 *
 * `marks` is called at each drawing: `{ contexts, episodes, hidden }`, each a list of `{ word, start, end }`.
 */
export function sharesChart(host, size, labels, data, view, marks, events) {
  const ink = inks();
  const isDense = data[0].length > DENSE;
  const options = timeOptions(ink, view, events.select);
  const chart = new uPlot({
    ...options,
    ...size,
    padding: [8 + 2 * STRIP, 12, 0, 0],
    scales: { ...options.scales, y: { range: [0, 1] } },
    axes: axes(ink, { values: (_, splits) => splits.map((share) => `${percent(share)} %`), incrs: [0.25, 0.5] }),
    series: [{}, ...labels.toReversed().map((label) => ({
      label, paths: uPlot.paths.stepped({ align: -1 }), stroke: ink.surface, width: isDense ? 0.4 : 1.2, points: { show: false },
      fill: (u) => canvasFill(u.ctx, label, uPlot.pxRatio),
    }))],
    hooks: {
      ...options.hooks,
      drawClear: [(u) => drawHidden(u, ink, marks().hidden)],
      draw: [(u) => nameHidden(u, ink, marks().hidden), (u) => drawStrips(u, ink, marks())],
      setCursor: [(u) => events.point(u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null)],
    },
  }, stacked(data), host);
  return { chart, setData: (next) => chart.setData(stacked(next)) };
}

/** Columns by label, bottom first → sums, top first: each area covers the lower part of the one before. */
function stacked([x, ...columns]) {
  const sums = [];
  let below = x.map(() => 0);
  for (const column of columns) {
    below = column.map((share, at) => (share === null ? null : below[at] + share));
    sums.push(below);
  }
  return [x, ...sums.reverse()];
}

export function linesChart(host, size, series, data, view, marks, events) {
  const ink = inks();
  const options = timeOptions(ink, view, events.select);
  const strokes = { activity: ink.accent, valence: "#d55e00", arousal: "#009e73" };
  const chart = new uPlot({
    ...options,
    ...size,
    padding: [8, 12, 0, 0],
    scales: { ...options.scales, y: { range: [-1, 1] } },
    axes: axes(ink, { incrs: [0.5, 1], values: (_, splits) => splits.map((value) => (value > 0 ? `+${value}` : value < 0 ? `−${-value}` : "0")) }),
    series: [{}, ...series.map((name) => ({
      label: name, stroke: strokes[name], width: name === "activity" ? 2.4 : 1.8, points: { show: false },
      dash: { valence: [7, 4], arousal: [2, 3] }[name],
    }))],
    hooks: {
      ...options.hooks,
      drawClear: [(u) => drawHidden(u, ink, marks().hidden)],
      draw: [(u) => nameHidden(u, ink, marks().hidden)],
      setCursor: [(u) => events.point(u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null)],
    },
  }, data, host);
  return { chart, setData: (next) => chart.setData(next) };
}

/** Times of which nothing is told: private windows are no missing data. */
function drawHidden(u, ink, hidden) {
  const { top, height } = u.bbox;
  inPlot(u, () => {
    u.ctx.fillStyle = ink.accentSoft;
    for (const { start, end } of hidden) {
      const x = u.valToPos(start, "x", true);
      u.ctx.fillRect(x, top, u.valToPos(end, "x", true) - x, height);
    }
  });
}

function nameHidden(u, ink, hidden) {
  const { ctx } = u;
  const { top, height } = u.bbox;
  inPlot(u, () => {
    ctx.fillStyle = ink.accent;
    ctx.font = scaled(ink.font);
    ctx.textAlign = "center";
    ctx.textBaseline = "bottom";
    for (const { start, end } of hidden) {
      const x0 = u.valToPos(start, "x", true), x1 = u.valToPos(end, "x", true);
      if (x1 - x0 > 56 * uPlot.pxRatio) ctx.fillText(say("room.private"), (x0 + x1) / 2, top + height / 2 - 4 * uPlot.pxRatio);
    }
  });
}

function inPlot(u, draw) {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  draw();
  u.ctx.restore();
}

const scaled = (font) => font.replace(/^(\d+)px/, (_, size) => `${size * uPlot.pxRatio}px`);

function drawStrips(u, ink, { contexts, episodes }) {
  const ratio = uPlot.pxRatio;
  const { left, top, width } = u.bbox;
  const { ctx } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, 0, width, top + u.bbox.height);
  ctx.clip();
  ctx.font = scaled(ink.font);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const strip = (row, fill, stroke, colour, text, start, end) => {
    const x0 = Math.max(left, u.valToPos(start, "x", true)), x1 = Math.min(left + width, u.valToPos(end, "x", true));
    if (x1 <= x0) return;
    const y = top - (2 - row) * STRIP * ratio, high = (STRIP - 5) * ratio;
    ctx.fillStyle = fill;
    ctx.strokeStyle = stroke;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.roundRect(x0 + 1, y, Math.max(2, x1 - x0 - 2), high, 4 * ratio);
    ctx.fill();
    ctx.stroke();
    ctx.fillStyle = colour;
    if (ctx.measureText(text).width + 14 * ratio < x1 - x0) ctx.fillText(text, x0 + 8 * ratio, y + high / 2 + 1);
  };
  for (const { word, start, end } of contexts) strip(0, ink.raised, ink.line, ink.text, sayWord("context", word), start, end);
  for (const { word, start, end } of episodes) {
    strip(1, ink.faultSoft, ink.fault, ink.fault, word, start, end);
    ctx.strokeStyle = ink.fault;
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    for (const ts of [start, end]) {
      const x = u.valToPos(ts, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, top - 5 * ratio);
      ctx.lineTo(x, top + u.bbox.height);
      ctx.stroke();
    }
    ctx.setLineDash([]);
  }
  ctx.restore();
}

/** Valence to the right, arousal upwards; the path goes from pale to full colour as time goes on. */
export function pathChart(host, size, data) {
  const ink = inks();
  const axis = {
    size: 4, space: 10, incrs: [0.5], values: () => [], ticks: { show: false }, grid: { stroke: ink.line, width: 1 },
  };
  const draw = (u, seriesIndex) => {
    const [xs, ys] = u.data[seriesIndex];
    const { ctx } = u;
    const ratio = uPlot.pxRatio;
    const at = (index) => [u.valToPos(xs[index], "x", true), u.valToPos(ys[index], "y", true)];
    ctx.save();
    drawCompass(u, ink);
    ctx.lineCap = "round";
    ctx.strokeStyle = ctx.fillStyle = ink.accent;
    ctx.lineWidth = 2 * ratio;
    for (let index = 1; index < xs.length; index++) {
      ctx.globalAlpha = 0.12 + 0.75 * (index / xs.length) ** 2;
      ctx.beginPath();
      ctx.moveTo(...at(index - 1));
      ctx.lineTo(...at(index));
      ctx.stroke();
    }
    if (xs.length) {
      ctx.globalAlpha = 1;
      ctx.beginPath();
      ctx.arc(...at(xs.length - 1), 6 * ratio, 0, 2 * Math.PI);
      ctx.fill();
      ctx.lineWidth = 2 * ratio;
      ctx.strokeStyle = ink.surface;
      ctx.stroke();
    }
    ctx.restore();
    return null;
  };
  const chart = new uPlot({
    ...size,
    mode: 2,
    padding: [4, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: [-1, 1] }, y: { range: [-1, 1] } },
    axes: [axis, axis],
    series: [null, { paths: draw, stroke: ink.accent }],
  }, [null, data], host);
  return { chart, setData: (next) => chart.setData([null, next]) };
}

/** The two axes through the middle, and what their ends mean. */
function drawCompass(u, ink) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const inset = 8 * uPlot.pxRatio;
  ctx.strokeStyle = ink.strong;
  ctx.lineWidth = uPlot.pxRatio;
  ctx.beginPath();
  ctx.moveTo(left, top + height / 2);
  ctx.lineTo(left + width, top + height / 2);
  ctx.moveTo(left + width / 2, top);
  ctx.lineTo(left + width / 2, top + height);
  ctx.stroke();
  ctx.font = scaled(ink.font);
  ctx.fillStyle = ink.soft;
  const write = (text, align, x, baseline, y) => {
    ctx.textAlign = align;
    ctx.textBaseline = baseline;
    ctx.fillText(text, x, y);
  };
  write(say("room.unpleasant"), "left", left + inset, "bottom", top + height / 2 - inset / 2);
  write(say("room.pleasant"), "right", left + width - inset, "bottom", top + height / 2 - inset / 2);
  write(say("room.excited"), "left", left + width / 2 + inset, "top", top + inset);
  write(say("room.calm"), "left", left + width / 2 + inset, "bottom", top + height - inset);
}
