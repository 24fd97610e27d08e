// The upper part of a room's page: what its devices say now.

import { el, setText, show } from "./dom.js";
import { ago, band, capital, percent, signed, span } from "./format.js";
import { live } from "./live.js";
import { ageOf, concernsOf, speakerOf, stateOf } from "./state.js";
import { say, sayWord } from "./words.js";

const NOTABLE = 0.05; // valence and arousal nearer to 0 are neither pleasant nor unpleasant

export class RoomNow {
  constructor(room) {
    this.room = room;
    const [site, name] = room.split("/");
    this.badge = el("span", { class: "badge" });
    this.context = el("span", { class: "chip", hidden: true });
    this.verdicts = el("div", { class: "verdicts" });
    this.tiles = Object.fromEntries(["dominant", "activity", "valence_arousal", "people"].map((tile) => {
      const value = el("dd", { class: "tile-value" }), more = el("dd", { class: "tile-more" });
      return [tile, { value, more, element: el("div", { class: "tile" }, el("dt", {}, say(`room.${tile}`)), value, more) }];
    }));
    this.element = el(
      "div", {},
      el("div", { class: "page-head" }, el("h1", {}, name), el("span", { class: "soft" }, site), this.context, this.badge),
      this.verdicts,
      el("dl", { class: "tiles" }, Object.values(this.tiles).map((tile) => tile.element)),
    );
    this.zones = el("section", { class: "panel", hidden: true });
  }

  update() {
    const device = (this.device = speakerOf(this.room));
    const state = (this.state = device ? stateOf(device) : "waiting");
    show(this.badge, Boolean(device));
    setText(this.badge, say(`state.${state}`));
    this.badge.dataset.state = state;
    const window = state === "live" ? device.window : null;
    const context = window?.context ?? device?.link?.context;
    show(this.context, Boolean(context) && context !== "none");
    setText(this.context, context ? sayWord("context", context) : "");
    this.#tiles(device, state, window);
    this.#verdicts();
    this.#zones(window);
    this.tick();
  }

  tick() {
    if (this.device && stateOf(this.device) !== this.state) return this.update();
    const age = this.device ? ageOf(this.device) : null;
    if (age !== null) setText(this.tiles.people.more, say("room.window", { span: span(this.device.window.window_s), age: ago(age) }));
    return undefined;
  }

  #tiles(device, state, window) {
    const tell = (tile, value, more) => {
      setText(this.tiles[tile].value, value || say("card.no_activity"));
      setText(this.tiles[tile].more, more || "");
    };
    const told = device?.window;
    tell("people", told && say("card.people_short", {
      readable: band(told.readable_min, told.readable_max), seen: band(told.seen_min, told.seen_max),
    }));
    if (!window) {
      tell("dominant", device && say(`card.${state}.title`));
      tell("activity");
      tell("valence_arousal");
      return;
    }
    const share = say("card.share", { percent: percent(window[`share_${window.dominant}`]) });
    tell("dominant", `${capital(window.dominant)} ${share}`, say("room.confidence", { percent: percent(window.confidence) }));
    const activity = window.classroom_activity;
    tell("activity", activity !== undefined && `${activity.toFixed(2)} · ${sayWord("grade", window.grade)}`, activity !== undefined && [
      say("room.positive_negative", { positive: window.positive_activity.toFixed(2), negative: window.negative_activity.toFixed(2) }),
      window.teacher_activity !== undefined && say("room.teacher", { value: window.teacher_activity.toFixed(2) }),
    ].filter(Boolean).join(" · "));
    const word = (value, low, high) => (value > NOTABLE ? say(high) : value < -NOTABLE ? say(low) : "");
    tell("valence_arousal", `${signed(window.valence)} / ${signed(window.arousal)}`, [
      word(window.valence, "room.unpleasant", "room.pleasant"), word(window.arousal, "room.calm", "room.excited"),
    ].filter(Boolean).join(", "));
  }

  #verdicts() {
    const devices = (live.rooms.get(this.room) ?? []).map((key) => live.devices.get(key));
    this.verdicts.replaceChildren(...devices.flatMap((device) => concernsOf(device).map(({ level, text, hint }) => el(
      "p", { class: "card-alert", "data-level": level },
      el("strong", {}, `${device.device}: `), text, " ", el("span", { class: "soft" }, hint),
    ))));
  }

  #zones(window) {
    const names = Object.keys(window ?? {}).map((key) => key.match(/^zone_(.+)_suppressed$/)?.[1]).filter(Boolean).sort();
    show(this.zones, names.length > 0);
    this.zones.replaceChildren(el("h2", {}, say("room.zones")), el("dl", { class: "facts" }, names.map((name) => {
      const of = (key) => window[`zone_${name}_${key}`]?.toFixed(2) ?? say("card.no_activity");
      return el("div", {}, el("dt", {}, say("room.zone", { name })), el("dd", {}, window[`zone_${name}_suppressed`]
        ? say("room.private")
        : say("room.positive_negative", { positive: of("positive_activity"), negative: of("negative_activity") })));
    })));
  }
}
