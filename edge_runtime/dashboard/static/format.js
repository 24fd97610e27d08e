// Numbers, times and names as people read them.

import { say } from "./words.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dated = new Intl.DateTimeFormat(undefined, {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});

export const clockTime = (ts) => clock.format(ts * 1000);
export const minuteTime = (ts) => minutes.format(ts * 1000);
export const datedTime = (ts) => dated.format(ts * 1000);

export const percent = (share) => String(Math.round(share * 100));
export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
export const band = (low, high) => (low === high ? String(low) : `${low}–${high}`);
export const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1).replaceAll("_", " ");

export function span(seconds) {
  const s = Math.abs(seconds);
  if (s < 90) return say("unit.seconds", { count: Math.round(s) });
  const whole = Math.round(s / 60);
  if (whole < 60) return say("unit.minutes", { count: whole });
  if (whole < 48 * 60) {
    const hours = Math.floor(whole / 60), rest = whole % 60;
    return rest ? say("unit.hours_minutes", { hours, minutes: rest }) : say("unit.hours", { count: hours });
  }
  return say("unit.days", { count: Math.round(whole / 1440) });
}

export const ago = (seconds) => (seconds < 3 ? say("age.now") : say("age.ago", { span: span(seconds) }));

/** Names as people count them: r2 before r10. */
export const byName = new Intl.Collator("en", { numeric: true }).compare;
