// One room on the overview: built once, then only what changed is written.

import { el, setAttribute, setText, show, svg } from "./dom.js";
import { ago, band, capital, percent, span } from "./format.js";
import { paint } from "./labels.js";
import { live } from "./live.js";
import { ageOf, concernsOf, needsAttention, sharesOf, speakerOf, stateOf } from "./state.js";
import { say, sayWord } from "./words.js";

const ROWS = 3;
const MINUTES = 60;

export class Card {
  constructor(room) {
    const [site, name] = room.split("/");
    this.room = room;
    this.rows = Array.from({ length: ROWS }, () => new ShareRow());
    this.trend = svg("path", { class: "trend-line" });
    this.area = svg("path", { class: "trend-area" });
    this.badge = el("span", { class: "badge" });
    this.context = el("span", { class: "chip", hidden: true });
    this.alert = el("p", { class: "card-alert", hidden: true });
    this.headline = el("span", { class: "headline-word" });
    this.figure = el("span", { class: "headline-figure" });
    this.shares = el("div", { class: "card-shares" }, this.rows.map((row) => row.element));
    this.reason = el("p", { class: "card-reason", hidden: true });
    this.measure = el("span", { class: "measure-name" });
    this.value = el("span", { class: "measure-value" });
    this.grade = el("span", { class: "grade", hidden: true });
    this.picture = svg(
      "svg", { class: "trend", viewBox: "0 0 60 24", preserveAspectRatio: "none", role: "img" }, this.area, this.trend,
    );
    this.activity = el(
      "div", { class: "card-activity" },
      el("div", { class: "measure" }, this.measure, this.value, this.grade), this.picture,
    );
    this.people = el("span", {});
    this.age = el("span", { class: "age" });
    this.element = el(
      "article", { class: "card" },
      el(
        "header", {},
        el("h2", {}, el("a", { href: `/rooms/${room}` }, el("span", { class: "card-name" }, name))),
        el("span", { class: "card-site" }, site),
        el("span", { class: "card-marks" }, this.context, this.badge),
      ),
      el("p", { class: "headline" }, this.headline, this.figure),
      this.shares, this.reason, this.alert, this.activity,
      el("footer", {}, this.people, this.age),
    );
  }

  /** Writes what the room's devices say now. */
  update() {
    const device = (this.device = speakerOf(this.room));
    if (!device) return;
    const window = device.window;
    this.state = stateOf(device);
    this.needsAttention = (live.rooms.get(this.room) ?? []).some((key) => needsAttention(live.devices.get(key)));
    this.element.dataset.state = this.state;
    if (window) this.element.dataset.event = window.event_id;
    setText(this.badge, say(`state.${this.state}`));
    this.#shares(this.state === "live" ? window : null);
    const context = this.state === "live" || this.state === "private" ? window.context : null;
    show(this.context, Boolean(context));
    setText(this.context, context ? sayWord("context", context) : "");
    this.#alert(device);
    this.#activity(device);
    setText(this.people, window ? say("card.people", {
      readable: band(window.readable_min, window.readable_max), seen: band(window.seen_min, window.seen_max),
    }) : "");
    this.tick();
  }

  /** Ages go on without messages. */
  tick() {
    if (!this.device) return;
    const age = ageOf(this.device);
    if (stateOf(this.device) !== this.state) return this.update();
    setText(this.age, age === null ? "" : ago(age));
    if (this.state !== "live") setText(this.reason, this.#reason(age));
    return undefined;
  }

  #shares(window) {
    show(this.shares, window !== null);
    show(this.reason, window === null);
    setText(this.headline, window ? capital(window.dominant) : say(`card.${this.state}.title`));
    setText(this.figure, window ? say("card.share", { percent: percent(window[`share_${window.dominant}`]) }) : "");
    const shares = window ? sharesOf(window) : [];
    this.rows.forEach((row, at) => row.update(shares[at]));
  }

  #reason(age) {
    if (this.state === "private") {
      const { seen_max: seen, min_group: count } = this.device.window;
      return seen ? say("card.private", { count }) : say("card.nobody");
    }
    if (["closed", "waiting", "blind"].includes(this.state)) return say(`card.${this.state}`);
    return age === null ? say("card.offline_never") : say(`card.${this.state}`, { age: ago(age) });
  }

  #alert(device) {
    // What the state says already is not said twice.
    const isSaid = ["offline", "silent", "blind"].includes(this.state);
    const concern = concernsOf(device).find((one) => !isSaid || one !== device.verdict);
    const episode = this.state === "live" ? device.episodes?.at(-1) : null;
    show(this.alert, Boolean(concern || episode));
    setText(this.alert, concern ? concern.text : episode ? say("card.episode", {
      kind: capital(episode.kind), span: span(Math.max(episode.duration_s, live.now() - episode.start_ts)),
    }) : "");
    setAttribute(this.alert, "data-level", concern?.level ?? "episode");
  }

  #activity(device) {
    const window = this.state === "live" ? device.window : null;
    const hasActivity = device.window?.classroom_activity !== undefined || device.window?.valence === undefined;
    const name = say(hasActivity ? "card.activity" : "card.valence");
    setText(this.measure, name);
    const value = window?.classroom_activity ?? window?.valence;
    setText(this.value, value === undefined ? say("card.no_activity") : value.toFixed(2));
    show(this.grade, Boolean(window?.grade));
    setText(this.grade, window?.grade ? sayWord("grade", window.grade) : "");
    setAttribute(this.grade, "data-grade", window?.grade);
    const points = device.trend ?? [];
    const { line, area } = trendPaths(points, Math.floor(live.now() / 60));
    setAttribute(this.trend, "d", line);
    setAttribute(this.area, "d", area);
    setAttribute(this.picture, "aria-label", points.length
      ? say("card.trend", { name, first: points[0][1].toFixed(2), last: points.at(-1)[1].toFixed(2) })
      : say("card.trend_none"));
  }
}

class ShareRow {
  constructor() {
    this.name = el("span", { class: "share-name" });
    this.fill = el("span", { class: "share-fill" });
    this.number = el("span", { class: "share-number" });
    this.element = el(
      "div", { class: "share" }, this.name, el("span", { class: "share-bar", "aria-hidden": "true" }, this.fill), this.number,
    );
  }

  update(entry) {
    show(this.element, Boolean(entry) && entry[1] > 0);
    if (!entry) return;
    const [label, share] = entry;
    if (this.label !== label) {
      paint(this.fill, label);
      setText(this.name, label);
      this.label = label;
    }
    if (this.share !== share) {
      this.fill.style.width = `${share * 100}%`;
      setText(this.number, say("card.share", { percent: percent(share) }));
      this.share = share;
    }
  }
}

/** An hour as SVG paths over 60 × 24; where a minute is missing, the line is broken. */
function trendPaths(points, nowMinute) {
  const runs = [];
  let last = -Infinity;
  for (const [minute, value] of points) {
    const x = MINUTES - 1 - (nowMinute - minute);
    if (x < 0) continue;
    const y = (22 - 20 * Math.min(1, Math.max(0, value))).toFixed(1);
    if (x - last > 3) runs.push([]);
    runs.at(-1).push([x, y]);
    last = x;
  }
  const line = runs.map((run) => {
    const drawn = run.length > 1 ? run : [run[0], [run[0][0] + 0.4, run[0][1]]];
    return `M${drawn.map((at) => at.join(" ")).join("L")}`;
  });
  const area = runs.map((run) => `M${run[0][0]} 24L${run.map((at) => at.join(" ")).join("L")}L${run.at(-1)[0]} 24Z`);
  return { line: line.join(""), area: area.join("") };
}

