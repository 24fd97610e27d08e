// A room's time in rows: its episodes, its windows as a table, and as a file.

import { el } from "./dom.js";
import { capital, clockTime, datedTime, percent, signed, span } from "./format.js";
import { csvOf, labelsOf } from "./series.js";
import { say } from "./words.js";

const TABLE_ROWS = 500;
const DAY_S = 86_400;

const share = (value) => say("card.share", { percent: percent(value) });

function table(heads, rows, caption = null) {
  return el(
    "table", { class: "stages" },
    caption && el("caption", { class: "visually-hidden" }, caption),
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map(([first, ...rest]) => el(
      "tr", {}, el("th", { scope: "row" }, first), rest.map((text) => el("td", {}, text)),
    ))),
  );
}

/** The episodes that touch a view, the latest first. */
export function episodesTable(episodes, view) {
  if (!episodes.length) return el("p", { class: "soft" }, say("room.no_episodes"));
  const time = view.end - view.start >= DAY_S ? datedTime : clockTime;
  return table(
    ["kind", "start", "duration", "peak"].map((name) => say(`room.episode.${name}`)),
    episodes.toReversed().map((episode) => [
      capital(episode.kind), time(episode.start_ts),
      episode.phase === "end" ? span(episode.duration_s) : say("room.episode.goes_on"), share(episode.peak_share),
    ]),
  );
}

/** The windows shown, the latest first. */
export function windowsTable(points) {
  const labels = labelsOf(points);
  return table(
    [say("room.time"), ...labels, say("room.valence"), say("room.arousal"), say("card.activity")],
    points.slice(-TABLE_ROWS).reverse().map((point) => [
      datedTime(point.ts),
      ...labels.map((label) => (point[`share_${label}`] == null ? say("room.private") : share(point[`share_${label}`]))),
      point.valence == null ? "" : signed(point.valence), point.arousal == null ? "" : signed(point.arousal),
      point.classroom_activity?.toFixed(2) ?? "",
    ]),
    say("room.table_caption"),
  );
}

/** Saves exactly these points. */
export function saveCsv(points, room) {
  const last = new Date(points.at(-1).ts * 1000).toISOString().slice(0, 16).replace(":", "");
  const url = URL.createObjectURL(new Blob([csvOf(points)], { type: "text/csv" }));
  el("a", { href: url, download: `roomtone-${room.replace("/", "-")}-${last}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
