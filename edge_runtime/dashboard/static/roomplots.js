// The charts of a room's page, the legends that read them, and the line that one reads at.

import { DENSE, linesChart, pathChart, sharesChart } from "./charts.js";
import { el, setText } from "./dom.js";
import { capital, clockTime, datedTime, percent, signed } from "./format.js";
import { paint } from "./labels.js";
import { live } from "./live.js";
import { isPrivate, labelsOf, pointAt, steps, stretches } from "./series.js";
import { say, sayWord } from "./words.js";

const LINES = { activity: "classroom_activity", valence: "valence", arousal: "arousal" };
const HEIGHTS = { shares: 360, lines: 210 };

export class RoomPlots {
  #charts = [];
  #reading = null; // unix time of the reading line
  #points = [];
  #episodes = [];

  /** `view` is the time shown, `{ start, end }`, and is changed from outside; `select` is called with a zoom or null. */
  constructor(view, select) {
    this.view = view;
    this.select = select;
    this.labels = [];
    this.legend = el("div", { class: "legend" });
    this.linesLegend = el("div", { class: "legend" });
    this.readout = el("p", { class: "readout", "aria-live": "polite" });
    this.timetable = el("p", { class: "visually-hidden" });
    const plot = (label) => el("div", { class: "plot", tabindex: "0", role: "group", "aria-label": say(label) });
    this.sharesHost = plot("room.shares_chart");
    this.linesHost = plot("room.lines_chart");
    this.pathHost = el("div", { class: "path", role: "img" });
    this.element = el(
      "div", { class: "plots" },
      el(
        "section", { class: "panel" }, el("h2", {}, say("room.shares")), this.legend, this.sharesHost, this.timetable, this.readout,
        el("p", { class: "soft help" }, say("room.shares_help")),
      ),
      el("section", { class: "panel" }, el("h2", {}, say("room.lines")), this.linesLegend, this.linesHost),
    );
    this.path = el(
      "section", { class: "panel" }, el("h2", {}, say("room.path")), this.pathHost, el("p", { class: "soft help" }, say("room.path_help")),
    );
    this.sizer = new ResizeObserver(() => this.#resize());
    this.sizer.observe(this.element);
  }

  stop() {
    this.sizer.disconnect();
    this.#charts.forEach(({ chart }) => chart.destroy());
    this.#charts = [];
  }

  /** Shows points and episodes; the charts are made anew for other labels, or when `isAnew` (another theme). */
  draw(points, episodes, isAnew = false) {
    this.#points = points;
    this.#episodes = episodes;
    const labels = labelsOf(points);
    const columns = {
      shares: steps(points, labels.map((label) => (point) => point[`share_${label}`])),
      lines: steps(points, Object.values(LINES).map((key) => (point) => point[key])),
      path: this.#path(),
    };
    const look = [...labels, columns.shares[0].length > DENSE].join();
    if (isAnew || !this.#charts.length || look !== this.look) this.#make(labels, columns);
    else Object.values(columns).forEach((column, at) => this.#charts[at].setData(column));
    this.look = look;
    this.#describe(columns.path);
    this.#read(this.#reading);
  }

  key(event) {
    const points = this.#inView();
    if (!points.length || !this.#charts.length) return;
    const at = this.#reading === null ? points.length : points.findIndex((point) => point.ts >= this.#reading - 0.5);
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 };
    if (event.key in moves) {
      const point = points[Math.max(0, Math.min(points.length - 1, moves[event.key]))];
      const { chart } = this.#charts[0];
      chart.setCursor({ left: chart.valToPos(Math.min(point.ts, this.view.end), "x"), top: 10 });
      this.#read(point.ts);
    } else if (event.key === "+" || event.key === "-") {
      const middle = this.#reading ?? (this.view.start + this.view.end) / 2;
      const half = (this.view.end - this.view.start) * (event.key === "+" ? 0.25 : 1);
      this.select({ start: middle - half, end: middle + half });
    } else if (event.key === "Escape") this.select(null);
    else return;
    event.preventDefault();
  }

  #make(labels, columns) {
    this.#charts.forEach(({ chart }) => chart.destroy());
    this.labels = labels;
    const events = { select: this.select, point: (ts) => this.#read(ts) };
    const marks = () => this.#marks();
    this.#legends();
    this.#charts = [
      sharesChart(this.sharesHost, this.#wide("shares"), labels, columns.shares, this.view, marks, events),
      linesChart(this.linesHost, this.#wide("lines"), Object.keys(LINES), columns.lines, this.view, marks, events),
      pathChart(this.pathHost, this.#square(), columns.path),
    ];
  }

  #wide = (name) => ({ width: Math.max(240, this.sharesHost.clientWidth), height: HEIGHTS[name] });

  #square() {
    const side = Math.max(220, Math.min(360, this.pathHost.clientWidth));
    return { width: side, height: side };
  }

  #resize() {
    const [shares, lines, path] = this.#charts;
    if (!shares || !this.sharesHost.clientWidth || shares.chart.width === this.#wide("shares").width) return;
    shares.chart.setSize(this.#wide("shares"));
    lines.chart.setSize(this.#wide("lines"));
    path.chart.setSize(this.#square());
  }

  #inView() {
    return this.#points.filter((point) => point.ts > this.view.start && point.start_ts < this.view.end);
  }

  #path() {
    const told = this.#inView().filter((point) => !isPrivate(point) && point.valence != null);
    return [told.map((point) => point.valence), told.map((point) => point.arousal)];
  }

  #marks() {
    const goesOn = live.now();
    return {
      contexts: stretches(this.#points, (point) => point.context),
      hidden: stretches(this.#points, (point) => (isPrivate(point) ? "private" : null)),
      episodes: this.#episodes.map((episode) => ({
        word: capital(episode.kind), start: episode.start_ts,
        end: episode.phase === "end" ? episode.end_ts ?? episode.start_ts + episode.duration_s : goesOn,
      })),
    };
  }

  #legends() {
    const value = () => el("span", { class: "legend-value" });
    this.values = Object.fromEntries([...this.labels, ...Object.keys(LINES).map((name) => `${name} line`)].map((name) => [name, value()]));
    this.legend.replaceChildren(...this.labels.map((label) => {
      const swatch = el("span", { class: "swatch" });
      paint(swatch, label);
      return el("span", { class: "legend-item" }, swatch, label, this.values[label]);
    }));
    this.linesLegend.replaceChildren(...Object.keys(LINES).map((name) => el(
      "span", { class: "legend-item" }, el("span", { class: `stroke stroke-${name}` }),
      say(name === "activity" ? "card.activity" : `room.${name}`), this.values[`${name} line`],
    )));
  }

  /** Shows the values at a moment; without one, the latest. */
  #read(ts) {
    this.#reading = ts;
    const points = this.#inView();
    const point = ts === null ? points.findLast((p) => !isPrivate(p)) ?? points.at(-1) : pointAt(this.#points, ts);
    const share = (label) => say("card.share", { percent: percent(point[`share_${label}`]) });
    for (const label of this.labels) setText(this.values[label], point?.[`share_${label}`] == null ? "" : share(label));
    for (const [name, key] of Object.entries(LINES)) {
      const value = point?.[key];
      setText(this.values[`${name} line`], value == null ? "" : name === "activity" ? value.toFixed(2) : signed(value));
    }
    setText(this.readout, ts === null ? "" : [
      datedTime(ts), point?.context && sayWord("context", point.context), point && isPrivate(point) && say("room.private"),
      point?.dominant && `${point.dominant} ${share(point.dominant)}`,
    ].filter(Boolean).join(" · "));
  }

  /** The same in words, for who cannot see it. */
  #describe([valences, arousals]) {
    const last = (values) => (values.length ? signed(values.at(-1)) : say("card.no_activity"));
    this.pathHost.setAttribute("aria-label", say("room.path_chart", { valence: last(valences), arousal: last(arousals) }));
    const list = stretches(this.#inView(), (point) => point.context)
      .map(({ word, start, end }) => `${sayWord("context", word)} ${clockTime(start)}–${clockTime(end)}`).join(", ");
    setText(this.timetable, say("room.timetable", { list: list || say("room.no_context") }));
  }
}
