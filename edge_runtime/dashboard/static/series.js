// A room's windows over time: from the history and from the live feed, made ready to be drawn, read and saved.

import { inOrder } from "./labels.js";

const LESSON_GAP_S = 10 * 60; // so long without a window, or a break, and the next is another lesson
const LESSON_HIDDEN_S = 5 * 60;
const LESSON_LEAST_S = 5 * 60;
const LESSON_DEFAULT_S = 50 * 60;
const SHARE = "share_";
const FIRST_COLUMNS = ["time", "ts", "start_ts", "device", "windows", "suppressed"];

/** A window of the live feed in the form of a point of the history. */
export function pointOf(device) {
  const { window } = device;
  return { ...window, device: device.device, start_ts: window.ts - window.window_s, windows: 1 };
}

export const isPrivate = (point) => point.suppressed >= point.windows;

export const labelsOf = (points) => inOrder(new Set(
  points.flatMap((point) => Object.keys(point).filter((key) => key.startsWith(SHARE)).map((key) => key.slice(SHARE.length))),
));

/** Where the lesson began that `end` is in: after a break, a gap, or some minutes in which nobody could be told of. */
export function lessonStart(points, end) {
  let start = end, hidden = 0;
  for (const point of points.filter((p) => p.ts <= end + 1).toReversed()) {
    const hasBegun = start < end;
    hidden = isPrivate(point) ? hidden + point.ts - point.start_ts : 0;
    const isBetween = point.context === "break" || hidden >= LESSON_HIDDEN_S || start - hidden - point.ts > LESSON_GAP_S;
    if (hasBegun && isBetween) break;
    if (!isPrivate(point)) start = point.start_ts;
  }
  return end - start < LESSON_LEAST_S ? end - LESSON_DEFAULT_S : start;
}

/**
 * Columns for a chart: x, then one column for each `value(point)`. Each window is a step from its start to its
 * end; where nothing was told, or nothing came, the step ends.
 */
export function steps(points, values) {
  const x = [];
  const columns = values.map(() => []);
  const put = (at, of) => {
    x.push(at);
    columns.forEach((column, index) => column.push(of ? values[index](of) ?? null : null));
  };
  let last = null;
  for (const point of points) {
    const isTold = !isPrivate(point);
    const follows = last && point.start_ts - last.ts < (point.ts - point.start_ts) * 0.6 + 2;
    if (last && !(follows && isTold) && x.at(-1) !== null) put(last.ts + 1e-3, null);
    if (isTold) {
      if (!last || !follows) put(Math.max(point.start_ts, (x.at(-1) ?? -Infinity) + 1e-3), point);
      put(Math.max(point.ts, x.at(-1) + 1e-3), point);
      last = point;
    } else last = null;
  }
  return [x, ...columns];
}

/** Times in which a predicate's word stays the same: `{ word, start, end }`. */
export function stretches(points, wordOf) {
  const found = [];
  for (const point of points) {
    const word = wordOf(point);
    const last = found.at(-1);
    const follows = last && point.start_ts - last.end < LESSON_GAP_S;
    if (word == null) continue;
    if (follows && last.word === word) last.end = point.ts;
    else found.push({ word, start: follows && last.end > point.start_ts ? last.end : point.start_ts, end: point.ts });
  }
  return found;
}

/** The point that holds a moment, or null. */
export function pointAt(points, ts) {
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle].ts < ts) low = middle + 1;
    else high = middle;
  }
  const point = points[low];
  return point && point.start_ts - 1 <= ts && ts <= point.ts + 1 ? point : null;
}

/** Exactly the points given, as RFC 4180. */
export function csvOf(points) {
  const keys = new Set(points.flatMap(Object.keys));
  const rest = [...keys].filter((key) => !FIRST_COLUMNS.includes(key)).sort();
  const columns = [...FIRST_COLUMNS.filter((key) => key === "time" || keys.has(key)), ...rest];
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const row = (point) => columns.map((key) => cell(String(
    key === "time" ? new Date(point.ts * 1000).toISOString() : point[key] ?? "",
  ))).join(",");
  return [columns.join(","), ...points.map(row), ""].join("\r\n");
}
