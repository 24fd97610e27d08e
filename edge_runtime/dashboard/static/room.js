// One room: now, and how it came to it.

import { linesChart, pathChart, sharesChart } from "./charts.js";
import { el, setAttribute, setText, show } from "./dom.js";
import { ago, band, capital, clockTime, datedTime, percent, signed, span } from "./format.js";
import { paint } from "./labels.js";
import { live, roomOf } from "./live.js";
import { csvOf, isPrivate, labelsOf, lessonStart, pointAt, pointOf, steps, stretches } from "./series.js";
import { ageOf, needsAttention, speakerOf, stateOf } from "./state.js";
import { say, sayWord } from "./words.js";

const RANGES = { lesson: 4 * 3600, hour: 3600, day: 86_400, week: 7 * 86_400 };
const DEFAULTS = { range: "hour", end: "", camera: "" };
const POINTS = 1000;
const LINES = { activity: "classroom_activity", valence: "valence", arousal: "arousal" };
const TABLE_ROWS = 500;
const NOTABLE = 0.05; // valence and arousal nearer to 0 are neither pleasant nor unpleasant

export class RoomPage {
  #points = [];
  #episodes = [];
  #zoom = null; // { start, end } within the range
  #charts = [];
  #labels = [];
  #asked = 0;
  #reading = null; // unix time of the reading line

  constructor(room, parameters, changeParameters) {
    this.room = room;
    [this.site, this.name] = room.split("/");
    this.title = this.name;
    this.changeParameters = changeParameters;
    this.parameters = { ...DEFAULTS, ...parameters };
    if (!(this.parameters.range in RANGES)) this.parameters.range = DEFAULTS.range;
    this.view = { start: 0, end: 1 };
    this.#build();
  }

  // ---- life

  start() {
    this.#tellNow();
    this.#load();
    this.timer = setInterval(() => this.#tick(), 1000);
    this.sizer = new ResizeObserver(() => this.#resize());
    this.sizer.observe(this.plots);
  }

  stop() {
    clearInterval(this.timer);
    this.sizer.disconnect();
    this.#charts.forEach(({ chart }) => chart.destroy());
  }

  change(keys) {
    if (![...keys].some((key) => roomOf(key) === this.room)) return;
    this.#tellNow();
    if (this.parameters.end) return;
    for (const key of keys) {
      const device = live.devices.get(key);
      if (!device?.window || roomOf(key) !== this.room) continue;
      const last = this.#points.findLast((point) => point.device === device.device);
      if (!last || device.window.ts > last.ts + 0.5) {
        this.#points.push(pointOf(device));
        this.#points.sort((a, b) => a.ts - b.ts);
        this.#redraw();
      }
    }
  }

  server() {
    if (!live.rooms.has(this.room)) this.#tellNow();
  }

  theme() {
    this.#draw();
  }

  key(event) {
    if (event.target.closest?.("input, select, textarea")) return;
    if (event.target.closest?.(".plot")) this.#chartKey(event);
  }

  // ---- parts

  #build() {
    this.badge = el("span", { class: "badge" });
    this.context = el("span", { class: "chip", hidden: true });
    this.verdicts = el("div", { class: "verdicts" });
    this.tiles = Object.fromEntries(["dominant", "activity", "valence_arousal", "people"].map((name) => {
      const value = el("dd", { class: "tile-value" }), more = el("dd", { class: "tile-more" });
      return [name, { value, more, element: el("div", { class: "tile" }, el("dt", {}, say(`room.${name}`)), value, more) }];
    }));
    this.ranges = Object.keys(RANGES).map((range) => el("button", {
      type: "button", class: "chip-button", dataset: { range }, onclick: () => this.#choose({ range, end: "" }),
    }, say(`room.range.${range}`)));
    const button = (key, act, kind = "button") => el("button", { type: "button", class: kind, onclick: act }, say(`room.${key}`));
    this.earlier = button("earlier", () => this.#move(-1));
    this.later = button("later", () => this.#move(1));
    this.now = button("live", () => this.#choose({ end: "" }));
    this.out = button("zoom_out", () => this.#select(null));
    this.save = button("download", () => this.#download());
    this.camera = el("select", { class: "select-box", "aria-label": say("room.camera"), onchange: () => this.#choose({ camera: this.camera.value }) });
    this.note = el("p", { class: "soft range-note", role: "status" });
    this.legend = el("div", { class: "legend" });
    this.readout = el("p", { class: "readout", "aria-live": "polite" });
    this.sharesHost = el("div", { class: "plot", tabindex: "0", role: "group", "aria-label": say("room.shares_chart") });
    this.linesHost = el("div", { class: "plot", tabindex: "0", role: "group", "aria-label": say("room.lines_chart") });
    this.linesLegend = el("div", { class: "legend" });
    this.pathHost = el("div", { class: "path", role: "img" });
    this.nothing = el("div", { class: "notice small", hidden: true });
    this.episodes = el("div", {});
    this.timetable = el("p", { class: "visually-hidden" });
    this.zones = el("section", { class: "panel", hidden: true });
    this.tableHost = el("div", { class: "table-host" });
    this.table = el("details", { class: "panel", ontoggle: () => this.#table() }, el("summary", {}, say("room.table")), this.tableHost);
    this.plots = el(
      "div", { class: "plots" },
      el(
        "section", { class: "panel" }, el("h2", {}, say("room.shares")), this.legend, this.sharesHost, this.timetable, this.readout,
        el("p", { class: "soft help" }, say("room.shares_help")),
      ),
      el("section", { class: "panel" }, el("h2", {}, say("room.lines")), this.linesLegend, this.linesHost),
    );
    this.aside = el(
      "div", { class: "aside" },
      el("section", { class: "panel" }, el("h2", {}, say("room.path")), this.pathHost, el("p", { class: "soft help" }, say("room.path_help"))),
      el("section", { class: "panel" }, el("h2", {}, say("room.episodes")), this.episodes),
      this.zones,
    );
    this.charts = el("div", { class: "room-grid" }, this.plots, this.aside);
    this.element = el(
      "div", { class: "page room" },
      el("a", { class: "back", href: "/" }, say("room.back")),
      el(
        "div", { class: "page-head" }, el("h1", {}, this.name), el("span", { class: "soft" }, this.site), this.context, this.badge,
      ),
      this.verdicts,
      el("dl", { class: "tiles" }, Object.values(this.tiles).map((tile) => tile.element)),
      el(
        "div", { class: "tools" },
        el("div", { class: "chips", role: "group", "aria-label": say("room.range") }, this.ranges),
        el("div", { class: "buttons" }, this.earlier, this.later, this.now, this.out),
        this.camera, el("span", { class: "tools-end" }, this.note, this.save),
      ),
      this.nothing, this.charts, this.table,
    );
  }

  // ---- now

  #tellNow() {
    const device = speakerOf(this.room);
    this.device = device;
    const state = device ? stateOf(device) : "waiting";
    this.element.dataset.state = state;
    show(this.badge, Boolean(device));
    setText(this.badge, say(`state.${state}`));
    this.badge.dataset.state = state;
    const window = state === "live" ? device.window : null;
    const context = window?.context ?? device?.link?.context;
    show(this.context, Boolean(context) && context !== "none");
    setText(this.context, context ? sayWord("context", context) : "");
    const unknown = say("card.no_activity");
    const tell = (name, value, more) => {
      setText(this.tiles[name].value, value ?? unknown);
      setText(this.tiles[name].more, more ?? "");
    };
    tell("dominant", window ? `${capital(window.dominant)} ${say("card.share", { percent: percent(window[`share_${window.dominant}`]) })}`
      : device ? say(`card.${state}.title`) : unknown,
      window ? say("room.confidence", { percent: percent(window.confidence) }) : "");
    const activity = window?.classroom_activity;
    tell("activity", activity === undefined ? unknown : `${activity.toFixed(2)} · ${sayWord("grade", window.grade)}`,
      activity === undefined ? "" : [
        say("room.positive_negative", { positive: window.positive_activity.toFixed(2), negative: window.negative_activity.toFixed(2) }),
        window.teacher_activity === undefined ? "" : say("room.teacher", { value: window.teacher_activity.toFixed(2) }),
      ].filter(Boolean).join(" · "));
    tell("valence_arousal", window ? `${signed(window.valence)} / ${signed(window.arousal)}` : unknown, window && [
      window.valence > NOTABLE ? say("room.pleasant") : window.valence < -NOTABLE ? say("room.unpleasant") : "",
      window.arousal > NOTABLE ? say("room.excited") : window.arousal < -NOTABLE ? say("room.calm") : "",
    ].filter(Boolean).join(", "));
    const told = device?.window;
    tell("people", told ? say("card.people_short", {
      readable: band(told.readable_min, told.readable_max), seen: band(told.seen_min, told.seen_max),
    }) : unknown);
    this.#tellVerdicts();
    this.#tellZones(window);
    this.#tellCameras();
    this.#tick();
  }

  #tick() {
    const age = this.device ? ageOf(this.device) : null;
    if (age !== null) setText(this.tiles.people.more, say("room.window", { span: span(this.device.window.window_s), age: ago(age) }));
    if (!this.parameters.end && !this.#zoom && this.view.end > 1 && live.now() - this.view.end > this.#width() / 300) this.#redraw();
  }

  #tellVerdicts() {
    const devices = (live.rooms.get(this.room) ?? []).map((key) => live.devices.get(key)).filter(needsAttention);
    this.verdicts.replaceChildren(...devices.map((device) => el(
      "p", { class: "card-alert", "data-level": device.verdict.level },
      el("strong", {}, `${device.device}: `), device.verdict.text, " ", el("span", { class: "soft" }, device.verdict.hint),
    )));
  }

  #tellZones(window) {
    const names = Object.keys(window ?? {}).map((key) => key.match(/^zone_(.+)_suppressed$/)?.[1]).filter(Boolean).sort();
    show(this.zones, names.length > 0);
    this.zones.replaceChildren(el("h2", {}, say("room.zones")), el("dl", { class: "facts" }, names.map((name) => {
      const of = (key) => window[`zone_${name}_${key}`];
      const text = of("suppressed") ? say("room.private") : say("room.positive_negative", {
        positive: of("positive_activity")?.toFixed(2) ?? "–", negative: of("negative_activity")?.toFixed(2) ?? "–",
      });
      return el("div", {}, el("dt", {}, say("room.zone", { name })), el("dd", {}, text));
    })));
  }

  #tellCameras() {
    const names = [...new Set([
      ...(live.rooms.get(this.room) ?? []).map((key) => key.slice(this.room.length + 1)),
      ...this.#points.flatMap((point) => point.device.split("+")),
    ])].sort();
    show(this.camera, names.length > 1);
    if (this.camera.dataset.names === names.join()) return;
    this.camera.dataset.names = names.join();
    this.camera.replaceChildren(
      el("option", { value: "" }, say("room.all_cameras")),
      ...names.map((name) => el("option", { value: name, selected: name === this.parameters.camera }, name)),
    );
  }

  // ---- time

  #width() {
    return this.view.end - this.view.start;
  }

  /** The range's own times; a zoom is within them. */
  #wholeView() {
    const end = Number(this.parameters.end) || live.now();
    const { range } = this.parameters;
    return { start: range === "lesson" ? lessonStart(this.#shown(), end) : end - RANGES[range], end };
  }

  #choose(change) {
    Object.assign(this.parameters, change);
    this.#zoom = null;
    this.changeParameters(this.parameters, DEFAULTS);
    this.#load();
  }

  #move(direction) {
    const whole = this.#wholeView();
    const width = whole.end - whole.start;
    const end = direction < 0 ? whole.start : whole.end + width;
    this.#choose({ end: end >= live.now() ? "" : String(Math.round(end)) });
  }

  /** Zooms to a time, or out of it. */
  #select(zoom) {
    const wasZoomed = this.#zoom !== null;
    this.#zoom = zoom && zoom.end - zoom.start > 30 ? zoom : null;
    this.#redraw();
    // What is shown as means of several windows is fetched again in full; and back.
    if (wasZoomed || this.#points.some((point) => point.windows > 1)) this.#load();
  }

  async #load() {
    const asked = ++this.#asked;
    const end = this.#zoom?.end ?? (Number(this.parameters.end) || live.now() + 60);
    const start = this.#zoom?.start ?? end - RANGES[this.parameters.range] - 60;
    setText(this.note, say("room.loading"));
    const query = new URLSearchParams({ start: start.toFixed(0), end: end.toFixed(0), points: POINTS });
    let answer;
    try {
      const response = await fetch(`/api/rooms/${this.room}/history?${query}`);
      answer = await response.json();
      if (!response.ok) throw new Error(answer.error);
    } catch (problem) {
      answer = { kept: true, windows: [], episodes: [], problem: problem.message };
    }
    if (asked !== this.#asked) return; // somebody chose something else meanwhile
    this.answer = answer;
    this.#points = answer.windows;
    this.#episodes = answer.episodes;
    if (!this.parameters.end) {
      for (const key of live.rooms.get(this.room) ?? []) {
        const device = live.devices.get(key);
        const last = this.#points.findLast((point) => point.device === device.device);
        if (device.window && device.window.ts > (last?.ts ?? start)) this.#points.push(pointOf(device));
      }
      this.#points.sort((a, b) => a.ts - b.ts);
    }
    this.#tellCameras();
    this.#draw();
  }

  /** Points of the chosen camera. */
  #shown() {
    const { camera } = this.parameters;
    return camera ? this.#points.filter((point) => point.device.split("+").includes(camera)) : this.#points;
  }

  #inView() {
    return this.#shown().filter((point) => point.ts > this.view.start && point.start_ts < this.view.end);
  }

  // ---- drawing

  #marks = () => {
    const points = this.#shown();
    const goesOn = live.now();
    return {
      contexts: stretches(points, (point) => point.context),
      hidden: stretches(points, (point) => (isPrivate(point) ? "private" : null)),
      episodes: this.#episodes.map((episode) => ({
        word: capital(episode.kind), start: episode.start_ts,
        end: episode.phase === "end" ? episode.end_ts ?? episode.start_ts + episode.duration_s : goesOn,
      })),
    };
  };

  #columns(points) {
    return {
      shares: steps(points, this.#labels.map((label) => (point) => point[`share_${label}`])),
      lines: steps(points, Object.values(LINES).map((key) => (point) => point[key])),
      path: (() => {
        const told = this.#inView().filter((point) => !isPrivate(point) && point.valence != null);
        return [told.map((point) => point.valence), told.map((point) => point.arousal)];
      })(),
    };
  }

  #draw() {
    this.#charts.forEach(({ chart }) => chart.destroy());
    this.#charts = [];
    Object.assign(this.view, this.#zoom ?? this.#wholeView());
    const points = this.#shown();
    this.#labels = labelsOf(points);
    this.#tellRange();
    if (!this.#inView().length) return;
    const data = this.#columns(points);
    const events = { select: (zoom) => this.#select(zoom), point: (ts) => this.#read(ts) };
    const wide = (height) => ({ width: Math.max(240, this.sharesHost.clientWidth), height });
    const side = Math.max(220, Math.min(360, this.pathHost.clientWidth));
    this.#charts = [
      sharesChart(this.sharesHost, wide(360), this.#labels, data.shares, this.view, this.#marks, events),
      linesChart(this.linesHost, wide(210), Object.keys(LINES), data.lines, this.view, this.#marks, events),
      pathChart(this.pathHost, { width: side, height: side }, data.path),
    ];
    this.#legends();
    this.#tellPath(data.path);
    this.#tellEpisodes();
    this.#table();
    this.#read(null);
  }

  /** The same charts with other times or more points. */
  #redraw() {
    const points = this.#shown();
    if (!this.#charts.length || labelsOf(points).join() !== this.#labels.join()) return this.#draw();
    Object.assign(this.view, this.#zoom ?? this.#wholeView());
    const data = this.#columns(points);
    ["shares", "lines", "path"].forEach((name, at) => this.#charts[at].setData(data[name]));
    this.#tellRange();
    this.#tellPath(data.path);
    this.#table();
    this.#read(this.#reading);
    return undefined;
  }

  #resize() {
    const width = Math.max(240, this.sharesHost.clientWidth);
    const [shares, lines, path] = this.#charts;
    if (!shares || shares.chart.width === width) return;
    shares.chart.setSize({ width, height: 360 });
    lines.chart.setSize({ width, height: 210 });
    const side = Math.max(220, Math.min(360, this.pathHost.clientWidth));
    path.chart.setSize({ width: side, height: side });
  }

  #tellRange() {
    const { range, end } = this.parameters;
    for (const button of this.ranges) setAttribute(button, "aria-pressed", String(button.dataset.range === range));
    this.later.disabled = this.now.disabled = !end;
    show(this.out, this.#zoom !== null);
    const points = this.#inView();
    this.save.disabled = !points.length;
    const most = Math.max(0, ...points.map((point) => point.windows));
    const time = `${datedTime(this.view.start)} – ${this.#width() < 86_400 ? clockTime(this.view.end) : datedTime(this.view.end)}`;
    setText(this.note, points.length
      ? say(most > 1 ? "room.points_mean" : "room.points", { count: points.length, windows: most, span: time }) : time);
    const { kept = true, problem = "" } = this.answer ?? {};
    show(this.charts, points.length > 0);
    show(this.table, points.length > 0);
    const isAlone = !points.length || problem || !kept;
    show(this.nothing, Boolean(isAlone));
    if (!isAlone) return;
    const isUnknown = !live.rooms.has(this.room);
    this.nothing.replaceChildren(...(problem ? [el("h2", {}, say("room.history_problem", { problem }))]
      : !kept ? [el("h2", {}, say("room.not_kept")), el("p", {}, say("room.not_kept_lead"))]
        : isUnknown ? [el("h2", {}, say("room.not_found")), el("p", {}, say("room.not_found_lead"))]
          : [el("h2", {}, say("room.nothing")), el("p", {}, say("room.nothing_lead"))]));
  }

  #legends() {
    this.values = {};
    this.legend.replaceChildren(...this.#labels.map((label) => {
      const swatch = el("span", { class: "swatch" });
      paint(swatch, label);
      const value = (this.values[label] = el("span", { class: "legend-value" }));
      return el("span", { class: "legend-item" }, swatch, label, value);
    }));
    this.linesLegend.replaceChildren(...Object.keys(LINES).map((name) => {
      const value = (this.values[`line_${name}`] = el("span", { class: "legend-value" }));
      return el("span", { class: "legend-item" }, el("span", { class: `stroke stroke-${name}` }),
        say(name === "activity" ? "card.activity" : `room.${name}`), value);
    }));
  }

  /** Shows the values at a moment; without one, the latest. */
  #read(ts) {
    this.#reading = ts;
    const points = this.#inView();
    const point = ts === null ? points.findLast((p) => !isPrivate(p)) ?? points.at(-1) : pointAt(this.#shown(), ts);
    for (const label of this.#labels) {
      const share = point?.[`share_${label}`];
      setText(this.values[label], share == null ? "" : say("card.share", { percent: percent(share) }));
    }
    for (const [name, key] of Object.entries(LINES)) {
      setText(this.values[`line_${name}`], point?.[key] == null ? "" : name === "activity" ? point[key].toFixed(2) : signed(point[key]));
    }
    const words = ts === null ? [] : [
      datedTime(ts), point?.context && sayWord("context", point.context), point && isPrivate(point) && say("room.private"),
      point?.dominant && `${point.dominant} ${say("card.share", { percent: percent(point[`share_${point.dominant}`] ?? 0) })}`,
    ];
    setText(this.readout, words.filter(Boolean).join(" · "));
  }

  #chartKey(event) {
    const [shares] = this.#charts;
    if (!shares) return;
    const points = this.#inView();
    const at = this.#reading === null ? points.length : points.findIndex((point) => point.ts >= this.#reading - 0.5);
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 };
    if (event.key in moves) {
      const point = points[Math.max(0, Math.min(points.length - 1, moves[event.key]))];
      shares.chart.setCursor({ left: shares.chart.valToPos(Math.min(point.ts, this.view.end), "x"), top: 10 });
      this.#read(point.ts);
    } else if (event.key === "+" || event.key === "-") {
      const middle = this.#reading ?? (this.view.start + this.view.end) / 2;
      const half = this.#width() * (event.key === "+" ? 0.25 : 1);
      const whole = this.#wholeView();
      const zoom = { start: Math.max(whole.start, middle - half), end: Math.min(whole.end, middle + half) };
      this.#select(zoom.start <= whole.start && zoom.end >= whole.end ? null : zoom);
    } else if (event.key === "Escape") this.#select(null);
    else return;
    event.preventDefault();
  }

  #tellPath([valences, arousals]) {
    this.pathHost.setAttribute("aria-label", say("room.path_chart", {
      valence: valences.length ? signed(valences.at(-1)) : "–", arousal: arousals.length ? signed(arousals.at(-1)) : "–",
    }));
    const contexts = stretches(this.#inView(), (point) => point.context);
    setText(this.timetable, say("room.timetable", {
      list: contexts.map(({ word, start, end }) => `${sayWord("context", word)} ${clockTime(start)}–${clockTime(end)}`).join(", ")
        || say("room.no_context"),
    }));
  }

  #tellEpisodes() {
    const heads = ["kind", "start", "duration", "peak"].map((name) => el("th", { scope: "col" }, say(`room.episode.${name}`)));
    this.episodes.replaceChildren(this.#episodes.length ? el(
      "table", { class: "stages" }, el("thead", {}, el("tr", {}, heads)),
      el("tbody", {}, this.#episodes.toReversed().map((episode) => el(
        "tr", {}, el("th", { scope: "row" }, capital(episode.kind)), el("td", {}, this.#width() > 86_400 ? datedTime(episode.start_ts) : clockTime(episode.start_ts)),
        el("td", {}, episode.phase === "end" ? span(episode.duration_s) : say("room.episode.goes_on")),
        el("td", {}, say("card.share", { percent: percent(episode.peak_share) })),
      ))),
    ) : el("p", { class: "soft" }, say("room.no_episodes")));
  }

  #table() {
    if (!this.table.open) return;
    const points = this.#inView().slice(-TABLE_ROWS).reverse();
    const columns = [
      [say("room.time"), (point) => datedTime(point.ts)],
      ...this.#labels.map((label) => [label, (point) => (point[`share_${label}`] == null ? say("room.private")
        : say("card.share", { percent: percent(point[`share_${label}`]) }))]),
      [say("room.valence"), (point) => (point.valence == null ? "" : signed(point.valence))],
      [say("room.arousal"), (point) => (point.arousal == null ? "" : signed(point.arousal))],
      [say("card.activity"), (point) => point.classroom_activity?.toFixed(2) ?? ""],
    ];
    this.tableHost.replaceChildren(el(
      "table", { class: "stages" }, el("caption", { class: "visually-hidden" }, say("room.table_caption")),
      el("thead", {}, el("tr", {}, columns.map(([name]) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, points.map((point) => el("tr", {}, columns.map(([, text], at) => el(at ? "td" : "th", at ? {} : { scope: "row" }, text(point)))))),
    ));
  }

  /** Saves exactly what is shown: the chosen camera, the time in view, the means where means are drawn. */
  #download() {
    const day = new Date(this.view.end * 1000).toISOString().slice(0, 16).replace(":", "");
    const url = URL.createObjectURL(new Blob([csvOf(this.#inView())], { type: "text/csv" }));
    const link = el("a", { href: url, download: `roomtone-${this.site}-${this.name}-${day}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}
