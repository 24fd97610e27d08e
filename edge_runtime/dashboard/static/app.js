// The shell: which page is shown, what the top of it says about the connection, and the colours.

import { el, setText, show } from "./dom.js";
import { clockTime } from "./format.js";
import { live } from "./live.js";
import { RoomsPage } from "./rooms.js";
import { say, sayCount } from "./words.js";

const content = document.getElementById("content");
const banner = document.getElementById("banner");
const pill = document.getElementById("connection");
const THEMES = ["auto", "light", "dark"];

let page = null;

// ---- pages

/** The page of an address; those of one room and of devices are loaded when they are first wanted. */
async function pageFor(url) {
  const parameters = Object.fromEntries(url.searchParams);
  const room = url.pathname.match(/^\/rooms\/([a-z0-9-]+)\/([a-z0-9-]+)$/);
  if (url.pathname === "/") return new RoomsPage(parameters, changeParameters);
  if (url.pathname === "/devices") {
    return new (await import("./devices.js")).DevicesPage(parameters, changeParameters);
  }
  if (room) return new (await import("./room.js")).RoomPage(`${room[1]}/${room[2]}`, parameters, changeParameters);
  return { title: say("error.page_not_found"), element: el(
    "div", { class: "page" }, el("div", { class: "notice" }, el("h1", {}, say("error.page_not_found")),
      el("a", { class: "button", href: "/" }, say("room.back"))),
  ) };
}

async function open(url, { isFirst = false } = {}) {
  const next = await pageFor(url);
  if (url.href !== location.href) return; // somewhere else meanwhile
  page?.stop?.();
  page = next;
  content.replaceChildren(page.element);
  page.start?.();
  document.title = say("app.title", { page: page.title });
  for (const link of document.querySelectorAll("nav a")) {
    const isHere = link.pathname === url.pathname || (link.pathname === "/" && url.pathname.startsWith("/rooms/"));
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isFirst) {
    content.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function changeParameters(parameters, defaults) {
  const kept = Object.entries(parameters).filter(([name, value]) => name in defaults && value !== defaults[name]);
  const query = new URLSearchParams(kept).toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || link.hasAttribute("download") || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  if (url.href !== location.href) history.pushState(null, "", url);
  open(url);
});
window.addEventListener("popstate", () => open(new URL(location.href)));
document.addEventListener("keydown", (event) => {
  if (!event.metaKey && !event.ctrlKey && !event.altKey) page?.key?.(event);
});

// ---- connection

function tellConnection() {
  const broker = live.server?.broker;
  let state = "connecting";
  if (!live.isConnected && live.server) state = "server_lost";
  else if (broker) state = broker.connected ? "live" : broker.problem ? "broker_lost" : "connecting";
  pill.dataset.state = state;
  setText(pill, say(`connection.${state}`));
  document.body.dataset.connection = state;
  const lines = [];
  const time = clockTime(live.heardAt);
  if (state === "server_lost") lines.push(say("banner.server_lost", { time }));
  if (state === "broker_lost") {
    const facts = { url: broker.url, problem: broker.problem, time: clockTime(broker.since) };
    lines.push(say(live.devices.size ? "banner.broker_lost" : "banner.broker_never", facts), broker.hint);
  }
  if (state === "live" && broker.problem) {
    lines.push(say("banner.broker_refusal", { url: broker.url, problem: broker.problem }), broker.hint);
  }
  if (state === "live" && broker.foreign) {
    lines.push(sayCount("banner.foreign", broker.foreign, { last: broker.last_foreign }));
  }
  if (state === "live" && broker.dropped) lines.push(say("banner.dropped", { count: broker.dropped }));
  if (state === "live" && live.server.history.problem) {
    lines.push(say("banner.history", { problem: live.server.history.problem }));
  }
  show(banner, lines.length > 0);
  banner.dataset.level = state === "live" && !broker.problem && !live.server.history.problem ? "note" : "fault";
  const text = lines.filter(Boolean);
  if (banner.innerText !== text.join("\n")) banner.replaceChildren(...text.map((line) => el("p", {}, line)));
  show(document.getElementById("logout"), Boolean(live.server?.can_log_out));
}

live.addEventListener("server", () => {
  tellConnection();
  page?.server?.();
});
live.addEventListener("change", ({ detail }) => page?.change?.(detail));

// ---- colours

const themeButton = document.getElementById("theme");

function tellTheme() {
  const theme = document.documentElement.dataset.theme ?? "auto";
  themeButton.dataset.theme = theme;
  const label = say("theme.label", { theme: say(`theme.${theme}`) });
  themeButton.title = label;
  themeButton.setAttribute("aria-label", label);
}

themeButton.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % THEMES.length];
  if (next === "auto") {
    localStorage.removeItem("roomtone.theme");
    delete document.documentElement.dataset.theme;
  } else localStorage.setItem("roomtone.theme", (document.documentElement.dataset.theme = next));
  tellTheme();
  page?.theme?.();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page?.theme?.());

tellTheme();
live.start();
open(new URL(location.href), { isFirst: true });
