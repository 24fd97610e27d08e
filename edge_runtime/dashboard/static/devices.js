// All devices as a table: what is wrong, what really runs, and how fast. Rows open to show the rest.

import { el, setAttribute, setText, show } from "./dom.js";
import { byName, span } from "./format.js";
import { live } from "./live.js";
import { howToStart } from "./rooms.js";
import { say, sayCount, sayWord } from "./words.js";

const LEVELS = ["fault", "warning", "note", "ok"];
const NOT_WORK = ["frame", "capture", "scan_wait"]; // as in diagnosis.py
const level = (device) => LEVELS.indexOf(device.verdict?.level ?? "note");

// Column → class, how rows are sorted by it (numbers ascending, names as people count), and what stands there.
const COLUMNS = {
  health: { sort: level, text: (device) => sayWord("health", healthOf(device)) },
  device: { sort: (device) => device.key, text: (device) => device.device },
  verdict: { sort: level },
  fps: { sort: (device) => device.stats?.fps ?? -1, text: (device) => number(device.stats?.fps, 1), isNumber: true },
  p95: {
    sort: (device) => slowest(device)?.[1] ?? -1,
    text: (device) => {
      const stage = slowest(device);
      return stage ? `${stage[0]} ${stage[1].toFixed(stage[1] < 10 ? 1 : 0)} ms` : say("devices.unknown");
    },
  },
  drops: {
    sort: (device) => device.stats?.dropped_frames ?? -1, text: (device) => number(device.stats?.dropped_frames), isNumber: true,
  },
  outbox: { sort: (device) => device.stats?.outbox_rows ?? -1, text: (device) => number(device.stats?.outbox_rows), isNumber: true },
  temperature: {
    sort: (device) => device.stats?.temperature_c ?? -1,
    text: (device) => (device.stats?.temperature_c === undefined ? say("devices.unknown") : `${number(device.stats.temperature_c)} °C`),
    isNumber: true,
  },
  runs: { sort: (device) => runs(device).join(" "), text: (device) => runs(device).join(" · ") || say("devices.unknown") },
  version: {
    sort: (device) => device.info?.version_roomtone ?? "", text: (device) => device.info?.version_roomtone ?? say("devices.unknown"),
  },
};

function number(value, digits = 0) {
  return value === undefined ? say("devices.unknown") : value.toFixed(digits);
}

function healthOf(device) {
  if (device.link?.online === false) return "offline";
  return device.verdict?.code === "camera_lost" ? "camera_lost" : device.stats?.health ?? "unknown";
}

function runs(device) {
  const info = device.info;
  return info ? [`${info.bundle_name} ${info.bundle_version}`, `${info.engine_backend} ${info.engine_precision}`] : [];
}

/** Stage → p50, p95, p99 in ms; the longest p95 first. */
function stages(device) {
  const found = new Map();
  for (const [key, value] of Object.entries(device.stats ?? {})) {
    const match = key.match(/^(.+)_(p50|p95|p99)_ms$/);
    if (match) found.set(match[1], { ...found.get(match[1]), [match[2]]: value });
  }
  return [...found].sort((a, b) => (b[1].p95 ?? 0) - (a[1].p95 ?? 0));
}

function slowest(device) {
  const stage = stages(device).find(([name]) => !NOT_WORK.includes(name));
  return stage ? [stage[0], stage[1].p95 ?? 0] : null;
}

class Row {
  constructor(key) {
    this.key = key;
    this.cells = Object.fromEntries(Object.entries(COLUMNS).map(([name, column]) => [
      name, el("div", {
        role: "cell", class: `cell cell-${name}${column.isNumber ? " number" : ""}`, "data-label": say(`devices.${name}`),
      }),
    ]));
    this.health = el("span", { class: "health" });
    this.cells.health.append(this.health);
    const [site, room, device] = key.split("/");
    this.button = el("button", {
      type: "button", class: "disclose", "aria-expanded": "false", "aria-label": say("devices.more", { device: key }),
      onclick: () => this.toggle(),
    });
    this.cells.device.append(this.button, el(
      "span", { class: "device-name" },
      el("a", { href: `/rooms/${site}/${room}` }, `${site}/${room}`), el("span", { class: "soft" }, device),
    ));
    this.text = el("span", { class: "verdict-text" });
    this.hint = el("span", { class: "verdict-hint" });
    this.alerts = el("span", {});
    this.cells.verdict.append(this.text, this.hint, this.alerts);
    this.detail = el("div", { class: "detail", role: "cell", hidden: true });
    this.element = el(
      "div", { class: "device-row", role: "row" }, el("div", { class: "device-cells", role: "presentation" }, Object.values(this.cells)), this.detail,
    );
  }

  update() {
    const device = (this.device = live.devices.get(this.key));
    this.element.dataset.level = device.verdict?.level ?? "note";
    this.element.dataset.event = device.window?.event_id ?? "";
    setText(this.health, COLUMNS.health.text(device));
    this.health.dataset.health = healthOf(device);
    setText(this.text, device.verdict?.text ?? "");
    setText(this.hint, device.verdict?.hint ?? "");
    show(this.hint, Boolean(device.verdict?.hint));
    const alerts = (device.alerts ?? []).map(({ text }) => text);
    if (this.alerts.dataset.texts !== alerts.join("\n")) {
      this.alerts.dataset.texts = alerts.join("\n");
      this.alerts.replaceChildren(...alerts.map((text) => el("span", { class: "verdict-alert" }, text)));
    }
    for (const name of ["fps", "p95", "drops", "outbox", "temperature", "runs", "version"]) {
      setText(this.cells[name], COLUMNS[name].text(device));
    }
    if (!this.detail.hidden) this.#detail();
  }

  toggle() {
    show(this.detail, this.detail.hidden);
    setAttribute(this.button, "aria-expanded", String(!this.detail.hidden));
    if (!this.detail.hidden) this.#detail();
  }

  #detail() {
    const { info, stats, link } = this.device;
    const facts = [];
    const add = (name, text) => text && facts.push(el("div", {}, el("dt", {}, say(`devices.detail.${name}`)), el("dd", {}, text)));
    if (info) {
      add("engine", `${info.engine_backend} ${info.engine_precision} · ${info.engine_instruction_set} · ${info.engine_threads}×`);
      add("reason", info.engine_reason);
      add("layers", family(info, "layers_").map(([name, count]) => `${count} ${name}`).join(", "));
      add("bundle", `${info.bundle_name} ${info.bundle_version}`);
      add("digest", info.bundle_digest.slice(0, 16));
      add("detector", info.detector);
      add("privacy", say("devices.detail.privacy_text", {
        min_group: info.privacy_min_group, step: info.privacy_share_step, bands: info.privacy_bands,
      }));
      add("deployment", [info.deployment_jurisdiction, info.deployment_setting, info.deployment_purpose].join(" · "));
      add("contact", info.deployment_contact);
      add("versions", family(info, "version_").map((pair) => pair.join(" ")).join(", "));
    }
    if (stats) {
      add("uptime", span(stats.uptime_s));
      add("memory", stats.rss_mb === undefined ? "" : `${stats.rss_mb.toFixed(0)} MiB`);
      add("frames", say("devices.detail.frames_text", {
        frames: stats.frames, dropped: stats.dropped_frames, corrupt: stats.corrupt_frames, reconnects: stats.reconnects,
      }));
      add("outbox", say("devices.detail.outbox_text", {
        rows: stats.outbox_rows, dropped: stats.outbox_dropped, recovered: stats.outbox_recovered,
      }));
      add("broker", String(stats.reconnects_broker));
    }
    add("parts", Object.entries(link?.status ?? {}).map((pair) => pair.join(" ")).join(", "));
    const skew = link?.skew_s ?? 0;
    add("clock", skew ? say("devices.detail.clock_text", {
      span: span(skew), direction: say(skew > 0 ? "clock.ahead" : "clock.behind"),
    }) : say("devices.detail.clock_right"));
    const table = stages(this.device);
    this.detail.replaceChildren(
      el("dl", { class: "facts" }, facts),
      table.length ? el(
        "table", { class: "stages" },
        el("thead", {}, el("tr", {}, ["stage", "p50_ms", "p95_ms", "p99_ms"].map((name) => el("th", { scope: "col" }, say(`devices.${name}`))))),
        el("tbody", {}, table.map(([name, times]) => el(
          "tr", {}, el("th", { scope: "row" }, name), ["p50", "p95", "p99"].map((at) => el("td", {}, number(times[at], 1))),
        ))),
      ) : el("p", { class: "soft" }, say("devices.no_stats")),
    );
  }
}

const family = (payload, prefix) =>
  Object.entries(payload).filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]);

export class DevicesPage {
  title = say("devices.title");
  #rows = new Map();

  constructor(parameters, changeParameters) {
    this.parameters = { text: "", sort: "health", down: "", ...parameters };
    this.changeParameters = changeParameters;
    this.search = el("input", {
      type: "search", class: "search", placeholder: say("devices.filter"), "aria-label": say("devices.filter"),
      value: this.parameters.text, title: say("rooms.keys"), autocomplete: "off", spellcheck: "false",
      oninput: () => this.#choose({ text: this.search.value }),
    });
    this.heads = Object.keys(COLUMNS).map((name) => {
      const button = el("button", { type: "button", onclick: () => this.#sortBy(name) }, say(`devices.${name}`));
      return { name, button, element: el(
        "div", { role: "columnheader", class: `cell cell-${name}${COLUMNS[name].isNumber ? " number" : ""}` }, button,
      ) };
    });
    this.count = el("span", { class: "count" });
    this.body = el("div", { role: "rowgroup", class: "device-body" });
    this.table = el(
      "div", { class: "devices-table", role: "table", "aria-label": say("devices.title") },
      el("div", { role: "rowgroup" }, el("div", { role: "row", class: "device-cells device-head" }, this.heads.map((head) => head.element))),
      this.body,
    );
    this.nothing = el("div", { class: "notice", hidden: true });
    this.tools = el("div", { class: "tools" }, this.search);
    this.element = el(
      "div", { class: "page devices" },
      el("div", { class: "page-head" }, el("h1", {}, say("devices.title")), this.count), this.tools, this.nothing, this.table,
    );
  }

  start() {
    this.change(live.devices.keys());
    this.timer = setInterval(() => this.#arrange(), 5000);
  }

  stop() {
    clearInterval(this.timer);
  }

  key(event) {
    if (event.key === "/" && document.activeElement !== this.search) {
      event.preventDefault();
      this.search.focus();
      this.search.select();
    } else if (event.key === "Escape" && document.activeElement === this.search) this.#choose({ text: "" });
  }

  change(keys) {
    let isAnother = !this.#rows.size;
    for (const key of keys) {
      let row = this.#rows.get(key);
      if (!live.devices.has(key)) {
        row?.element.remove();
        this.#rows.delete(key);
        isAnother = true;
        continue;
      }
      if (!row) {
        row = new Row(key);
        this.#rows.set(key, row);
        isAnother = true;
      }
      row.update();
    }
    if (isAnother) this.#arrange();
  }

  server() {
    if (!this.#rows.size) this.#arrange();
  }

  #choose(change) {
    Object.assign(this.parameters, change);
    if (this.search.value !== this.parameters.text) this.search.value = this.parameters.text;
    this.changeParameters(this.parameters, { text: "", sort: "health", down: "" });
    this.#arrange();
  }

  #sortBy(name) {
    const { sort, down } = this.parameters;
    this.#choose({ sort: name, down: sort === name && !down ? "1" : "" });
  }

  #fits({ device }) {
    const words = `${device.key} ${device.verdict?.text} ${healthOf(device)} ${runs(device).join(" ")}`.toLowerCase();
    return this.parameters.text.toLowerCase().split(/\s+/).every((word) => words.includes(word));
  }

  #arrange() {
    const { sort, down } = this.parameters;
    const value = COLUMNS[sort]?.sort ?? level;
    const sign = down ? -1 : 1;
    const compare = (a, b) => (typeof a === "string" ? byName(a, b) : a - b);
    const shown = [...this.#rows.values()]
      .filter((row) => this.#fits(row))
      .sort((a, b) => sign * compare(value(a.device), value(b.device)) || byName(a.key, b.key));
    const order = shown.map((row) => row.element);
    if (order.length !== this.body.children.length || order.some((element, at) => this.body.children[at] !== element)) {
      const focused = document.activeElement;
      this.body.replaceChildren(...order);
      if (this.body.contains(focused)) focused.focus();
    }
    for (const head of this.heads) {
      setAttribute(head.element, "aria-sort", head.name === sort ? (down ? "descending" : "ascending") : null);
    }
    const total = this.#rows.size;
    setText(this.count, total ? sayCount("devices.count", total) : "");
    show(this.tools, total > 0);
    show(this.table, shown.length > 0);
    show(this.nothing, !shown.length && (total > 0 || Boolean(live.server)));
    if (!shown.length) {
      this.nothing.replaceChildren(...(total
        ? [el("h2", {}, say("empty.no_devices_found", { text: this.parameters.text }))] : howToStart()));
    }
  }
}
