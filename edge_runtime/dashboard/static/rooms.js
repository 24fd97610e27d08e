// The overview: a card for each room; filter, sort, and only what changed is touched.

import { Card } from "./card.js";
import { el, setAttribute, setText, show } from "./dom.js";
import { byName } from "./format.js";
import { live, roomOf } from "./live.js";
import { say, sayCount } from "./words.js";

const STATES = {
  all: () => true,
  live: (card) => card.state === "live",
  private: (card) => card.state === "private",
  absent: (card) => !["live", "private"].includes(card.state),
  attention: (card) => card.needsAttention,
};
const activity = (card, without) =>
  (card.state === "live" ? card.device.window.classroom_activity ?? card.device.window.valence : undefined) ?? without;
const SORTS = {
  name: () => 0,
  attention: (a, b) => b.needsAttention - a.needsAttention || STATES.absent(b) - STATES.absent(a),
  activity_down: (a, b) => activity(b, -9) - activity(a, -9),
  activity_up: (a, b) => activity(a, 9) - activity(b, 9),
  dominant: (a, b) => byName(dominant(a), dominant(b)),
};
const RESORT_MS = 5000; // cards do not jump about with each message

function dominant(card) {
  return (card.state === "live" && card.device.window.dominant) || "~";
}

export class RoomsPage {
  title = say("rooms.title");
  #cards = new Map();
  #visible = new Set();
  #timers = [];

  constructor(parameters, changeParameters) {
    this.parameters = { text: "", state: "all", sort: "name", ...parameters };
    this.changeParameters = changeParameters;
    this.search = el("input", {
      type: "search", class: "search", placeholder: say("rooms.filter"), "aria-label": say("rooms.filter"),
      value: this.parameters.text, title: say("rooms.keys"), autocomplete: "off", spellcheck: "false",
      oninput: () => this.#choose({ text: this.search.value }),
    });
    this.chips = Object.keys(STATES).map((state) => {
      const count = el("span", { class: "count" });
      const button = el(
        "button", { type: "button", class: "chip-button", onclick: () => this.#choose({ state }) },
        say(`rooms.state.${state}`), count,
      );
      return { state, count, button };
    });
    this.sort = el(
      "select", { onchange: () => this.#choose({ sort: this.sort.value }) },
      Object.keys(SORTS).map((sort) => el(
        "option", { value: sort, selected: sort === this.parameters.sort }, say(`rooms.sort.${sort}`),
      )),
    );
    this.count = el("span", { class: "count" });
    this.grid = el("div", { class: "cards" });
    this.nothing = el("div", { class: "notice", hidden: true });
    this.tools = el(
      "div", { class: "tools" },
      this.search,
      el("div", { class: "chips", role: "group", "aria-label": say("rooms.states") }, this.chips.map((chip) => chip.button)),
      el("label", { class: "select" }, el("span", {}, say("rooms.sort")), this.sort),
    );
    this.element = el(
      "div", { class: "page rooms" },
      el("div", { class: "page-head" }, el("h1", {}, say("rooms.title")), this.count), this.tools, this.nothing, this.grid,
    );
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const card = this.#cards.get(target.dataset.room);
        if (!card) continue;
        if (isIntersecting) {
          this.#visible.add(card);
          card.tick();
        } else this.#visible.delete(card);
      }
    }, { rootMargin: "200px" });
  }

  start() {
    this.#take(live.devices.keys());
    this.#arrange();
    this.#timers = [
      setInterval(() => this.#visible.forEach((card) => card.tick()), 1000),
      setInterval(() => this.#arrange(), RESORT_MS),
    ];
  }

  stop() {
    this.#timers.forEach(clearInterval);
    this.watcher.disconnect();
  }

  key(event) {
    if (event.key === "/" && document.activeElement !== this.search) {
      event.preventDefault();
      this.search.select();
      this.search.focus();
    } else if (event.key === "Escape" && document.activeElement === this.search) this.#choose({ text: "" });
  }

  change(keys) {
    if (this.#take(keys)) this.#arrange();
    else this.#count();
  }

  server() {
    if (!this.#cards.size) this.#arrange();
  }

  /** Brings cards up to date; true when the set of cards, or who is shown, is another now. */
  #take(keys) {
    let isAnother = false;
    for (const room of new Set([...keys].map(roomOf))) {
      let card = this.#cards.get(room);
      if (!live.rooms.has(room)) {
        if (card) this.#remove(card);
        isAnother = true;
        continue;
      }
      if (!card) {
        card = new Card(room);
        card.element.dataset.room = room;
        this.#cards.set(room, card);
        isAnother = true;
      }
      const wasShown = this.#fits(card);
      card.update();
      isAnother ||= wasShown !== this.#fits(card);
    }
    return isAnother;
  }

  #remove(card) {
    this.watcher.unobserve(card.element);
    this.#visible.delete(card);
    this.#cards.delete(card.room);
    card.element.remove();
  }

  #choose(change) {
    Object.assign(this.parameters, change);
    if (this.search.value !== this.parameters.text) this.search.value = this.parameters.text;
    this.changeParameters(this.parameters, { text: "", state: "all", sort: "name" });
    this.#arrange();
  }

  #fits(card) {
    const { text, state } = this.parameters;
    if (!card.state || !STATES[state](card)) return false;
    const words = `${card.room} ${say(`state.${card.state}`)} ${dominant(card)}`.toLowerCase();
    return text.toLowerCase().split(/\s+/).every((word) => words.includes(word));
  }

  #arrange() {
    const order = SORTS[this.parameters.sort];
    const shown = [...this.#cards.values()]
      .filter((card) => this.#fits(card))
      .sort((a, b) => order(a, b) || byName(a.room, b.room));
    const kept = new Set(shown);
    for (const card of this.#cards.values()) {
      if (!kept.has(card) && card.element.parentNode) {
        this.watcher.unobserve(card.element);
        this.#visible.delete(card);
        card.element.remove();
      }
    }
    let place = this.grid.firstElementChild;
    for (const { element } of shown) {
      if (element === place) place = place.nextElementSibling;
      else {
        const isNew = !element.parentNode;
        const hadFocus = element.contains(document.activeElement) && document.activeElement;
        this.grid.insertBefore(element, place);
        if (isNew) this.watcher.observe(element);
        if (hadFocus) hadFocus.focus();
      }
    }
    this.#count();
    this.#explain(shown.length);
  }

  #count() {
    const cards = [...this.#cards.values()];
    setText(this.count, cards.length ? sayCount("rooms.count", cards.length) : "");
    for (const { state, count, button } of this.chips) {
      setText(count, String(cards.filter(STATES[state]).length));
      setAttribute(button, "aria-pressed", String(state === this.parameters.state));
    }
  }

  #explain(shown) {
    const isEmpty = !this.#cards.size;
    show(this.tools, !isEmpty);
    show(this.nothing, !shown && (!isEmpty || Boolean(live.server)));
    if (shown) return;
    this.nothing.replaceChildren(...(isEmpty ? howToStart() : [
      el("h2", {}, this.parameters.text
        ? say("empty.nothing_found", { text: this.parameters.text }) : say("empty.nothing_in_state")),
      el("button", {
        type: "button", class: "button", onclick: () => this.#choose({ text: "", state: "all" }),
      }, say("empty.clear")),
    ]));
  }
}

export function howToStart() {
  const url = live.server?.broker.url ?? "";
  return [
    el("h2", {}, say("empty.title")),
    el("p", {}, say("empty.lead", { url })),
    el("p", {}, say("empty.device")),
    el("pre", { tabindex: "0" }, el("code", {}, `roomtone run --source 0 --broker ${url}`)),
    el("p", {}, say("empty.try")),
    el("pre", { tabindex: "0" }, el("code", {}, `roomtone simulate fleet --rooms 12 --broker ${url}`)),
  ];
}
