// One room: now, and how it came to it.

import { el, setAttribute, setText, show } from "./dom.js";
import { clockTime, datedTime } from "./format.js";
import { live, roomOf } from "./live.js";
import { episodesTable, saveCsv, windowsTable } from "./roomlists.js";
import { RoomNow } from "./roomnow.js";
import { RoomPlots } from "./roomplots.js";
import { lessonStart, pointOf } from "./series.js";
import { speakerOf } from "./state.js";
import { say, sayCount } from "./words.js";

const DAY_S = 86_400;
const RANGES = { lesson: 4 * 3600, hour: 3600, day: DAY_S, week: 7 * DAY_S };
const DEFAULTS = { range: "hour", end: "", camera: "" };
const POINTS = 1000;
const LEAST_ZOOM_S = 30;

export class RoomPage {
  #points = [];
  #episodes = [];
  #zoom = null; // { start, end } within the range
  #asked = 0;

  constructor(room, parameters, changeParameters) {
    this.room = room;
    this.title = room.split("/")[1];
    this.changeParameters = changeParameters;
    this.parameters = { ...DEFAULTS, ...parameters };
    if (!(this.parameters.range in RANGES)) this.parameters.range = DEFAULTS.range;
    this.view = { start: 0, end: 1 };
    this.now = new RoomNow(room);
    this.plots = new RoomPlots(this.view, (zoom) => this.#select(zoom));
    this.#build();
  }

  // ---- life

  start() {
    this.now.update();
    this.#load();
    this.timer = setInterval(() => this.#tick(), 1000);
  }

  stop() {
    clearInterval(this.timer);
    this.plots.stop();
  }

  change(keys) {
    const ours = [...keys].filter((key) => roomOf(key) === this.room);
    if (!ours.length) return;
    this.now.update();
    if (!this.parameters.end && this.#appendLive(ours)) this.#draw();
  }

  server() {
    if (!live.rooms.has(this.room)) this.now.update();
  }

  theme() {
    this.#draw(true);
  }

  key(event) {
    if (event.target.closest?.(".plot")) this.plots.key(event);
  }

  #build() {
    this.ranges = Object.keys(RANGES).map((range) => el("button", {
      type: "button", class: "chip-button", dataset: { range }, onclick: () => this.#choose({ range, end: "" }),
    }, say(`room.range.${range}`)));
    const button = (key, act) => el("button", { type: "button", class: "button", onclick: act }, say(`room.${key}`));
    this.earlier = button("earlier", () => this.#move(-1));
    this.later = button("later", () => this.#move(1));
    this.present = button("live", () => this.#choose({ end: "" }));
    this.out = button("zoom_out", () => this.#select(null));
    this.save = button("download", () => saveCsv(this.#inView(), this.room));
    this.camera = el("select", { class: "select-box", "aria-label": say("room.camera"), onchange: () => this.#choose({ camera: this.camera.value }) });
    this.note = el("p", { class: "soft range-note", role: "status" });
    this.nothing = el("div", { class: "notice small", hidden: true });
    this.episodes = el("div", { class: "episodes", tabindex: "0", role: "group", "aria-label": say("room.episodes") });
    this.tableHost = el("div", { class: "table-host" });
    this.table = el("details", { class: "panel", ontoggle: () => this.#table() }, el("summary", {}, say("room.table")), this.tableHost);
    this.charts = el(
      "div", { class: "room-grid" }, this.plots.element,
      el("div", { class: "aside" }, this.plots.path, el("section", { class: "panel" }, el("h2", {}, say("room.episodes")), this.episodes), this.now.zones),
    );
    this.element = el(
      "div", { class: "page room" },
      el("a", { class: "back", href: "/" }, say("room.back")),
      this.now.element,
      el(
        "div", { class: "tools" },
        el("div", { class: "chips", role: "group", "aria-label": say("room.range") }, this.ranges),
        el("div", { class: "buttons" }, this.earlier, this.later, this.present, this.out),
        this.camera, el("span", { class: "tools-end" }, this.note, this.save),
      ),
      this.nothing, this.charts, this.table,
    );
  }

  #tick() {
    this.now.tick();
    const moves = !this.parameters.end && !this.#zoom && this.view.end > 1;
    if (moves && live.now() - this.view.end > this.#width() / 300) this.#draw();
  }

  // ---- time

  #width() {
    return this.view.end - this.view.start;
  }

  /** The range's own times; a zoom is within them. */
  #whole() {
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
    const { start, end } = this.#whole();
    const next = direction < 0 ? start : end + (end - start);
    this.#choose({ end: next >= live.now() ? "" : String(Math.round(next)) });
  }

  /** Zooms to a time, or out of it. */
  #select(zoom) {
    const wasZoomed = this.#zoom !== null;
    const whole = this.#whole();
    const inside = zoom && { start: Math.max(whole.start, zoom.start), end: Math.min(whole.end, zoom.end) };
    const isLess = inside && inside.end - inside.start > LEAST_ZOOM_S && inside.end - inside.start < whole.end - whole.start - 1;
    this.#zoom = isLess ? inside : null;
    this.#draw();
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
    if (!this.parameters.end) this.#appendLive(live.rooms.get(this.room) ?? [], start);
    this.#cameras();
    this.#draw();
  }

  /** Adds windows that came since; true when there were any. */
  #appendLive(keys, since = 0) {
    const before = this.#points.length;
    for (const key of keys) {
      const device = live.devices.get(key);
      const last = this.#points.findLast((point) => point.device === device?.device);
      if (device?.window && device.window.ts > Math.max(since, (last?.ts ?? 0) + 0.5)) this.#points.push(pointOf(device));
    }
    this.#points.sort((a, b) => a.ts - b.ts);
    return this.#points.length > before;
  }

  /** Cameras that have spoken here: two see the same people, so one is shown at a time. */
  #names() {
    return [...new Set([
      ...(live.rooms.get(this.room) ?? []).map((key) => key.slice(this.room.length + 1)),
      ...this.#points.flatMap((point) => point.device.split("+")),
    ])].sort();
  }

  /** Points of the chosen camera; without a choice, of the one that tells most. */
  #shown() {
    const names = this.#names();
    if (names.length < 2) return this.#points;
    const chosen = this.parameters.camera || (speakerOf(this.room)?.device ?? names[0]);
    return this.#points.filter((point) => point.device.split("+").includes(chosen));
  }

  #inView() {
    return this.#shown().filter((point) => point.ts > this.view.start && point.start_ts < this.view.end);
  }

  // ---- drawing

  #draw(isAnew = false) {
    Object.assign(this.view, this.#zoom ?? this.#whole());
    const points = this.#inView();
    show(this.charts, points.length > 0);
    show(this.table, points.length > 0);
    this.#tools(points);
    this.#explain(points);
    if (!points.length) return;
    this.plots.draw(this.#shown(), this.#episodes, isAnew);
    const inView = (episode) => episode.start_ts < this.view.end && episode.start_ts + episode.duration_s > this.view.start;
    this.episodes.replaceChildren(episodesTable(this.#episodes.filter(inView), this.view));
    this.#table();
  }

  #tools(points) {
    const { range, end } = this.parameters;
    for (const button of this.ranges) setAttribute(button, "aria-pressed", String(button.dataset.range === range));
    this.later.disabled = this.present.disabled = !end;
    this.save.disabled = !points.length;
    show(this.out, this.#zoom !== null);
    const windows = Math.max(0, ...points.map((point) => point.windows));
    const time = `${datedTime(this.view.start)} – ${(this.#width() < DAY_S ? clockTime : datedTime)(this.view.end)}`;
    const told = windows > 1
      ? say("room.points_mean", { count: points.length, windows, span: time }) : sayCount("room.points", points.length, { span: time });
    setText(this.note, points.length ? told : time);
  }

  #explain(points) {
    const { kept = true, problem = "" } = this.answer ?? {};
    const why = problem ? ["room.history_problem", null]
      : !kept ? ["room.not_kept", "room.not_kept_lead"]
        : points.length ? null
          : live.rooms.has(this.room) ? ["room.nothing", "room.nothing_lead"] : ["room.not_found", "room.not_found_lead"];
    show(this.nothing, why !== null);
    if (why) this.nothing.replaceChildren(el("h2", {}, say(why[0], { problem })), why[1] ? el("p", {}, say(why[1])) : "");
  }

  #table() {
    if (this.table.open) this.tableHost.replaceChildren(windowsTable(this.#inView()));
  }

  #cameras() {
    const names = this.#names();
    show(this.camera, names.length > 1);
    const chosen = this.parameters.camera || speakerOf(this.room)?.device;
    this.camera.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === chosen }, name)));
  }
}
