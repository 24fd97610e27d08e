// What a device or a room is to a reader: measuring, private, or not there, and why.

import { live } from "./live.js";

const OVERDUE_WINDOWS = 3; // as in diagnosis.py
const OVERDUE_GRACE_S = 15;
const RANK = { live: 0, private: 1, silent: 2, waiting: 3, blind: 4, closed: 5, offline: 6 };

/** Age of the newest window, s, by the device's own clock set right; null before the first. */
export function ageOf(device) {
  if (!device.window) return null;
  return Math.max(0, live.now() - (device.window.ts - (device.link?.skew_s ?? 0)));
}

/** live, private, silent, waiting, blind (no camera), closed or offline. */
export function stateOf(device) {
  if (device.link?.online === false) return "offline";
  if (device.link?.enabled === false) return "closed";
  const isBlind = device.verdict?.code === "camera_lost";
  if (!device.window) return isBlind ? "blind" : "waiting";
  if (ageOf(device) > OVERDUE_WINDOWS * (device.info?.window_s ?? device.window.window_s) + OVERDUE_GRACE_S) {
    if (isBlind) return "blind";
    return device.link?.online ? "silent" : "offline"; // without a word on it: an old message that the broker keeps
  }
  return device.window.suppressed ? "private" : "live";
}

/** What somebody should look at: alerts of the rules, then what is wrong with the device; `{ level, text, hint }`. */
export function concernsOf(device) {
  const alerts = (device.alerts ?? []).map(({ text }) => ({ level: "fault", text, hint: "" }));
  return ["fault", "warning"].includes(device.verdict?.level) ? [...alerts, device.verdict] : alerts;
}

export const needsAttention = (device) => concernsOf(device).length > 0;

/** Of a room's devices the one that tells most; of equals, the first by name, so that it stays the same. */
export function speakerOf(room) {
  const devices = (live.rooms.get(room) ?? []).map((key) => live.devices.get(key));
  return devices.toSorted((a, b) => RANK[stateOf(a)] - RANK[stateOf(b)])[0];
}

/** Label and share of a window, largest first. */
export function sharesOf(window) {
  return Object.entries(window)
    .filter(([key]) => key.startsWith("share_"))
    .map(([key, share]) => [key.slice(6), share])
    .sort((a, b) => b[1] - a[1] || (b[0] === window.dominant) - (a[0] === window.dominant) || (a[0] < b[0] ? -1 : 1));
}
