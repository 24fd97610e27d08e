// Everything that is said in English is in strings.en.json; the server says its sentences from there too.

const table = await (await fetch("/static/strings.en.json")).json();

/** One sentence, its {names} filled in. */
export function say(key, facts = {}) {
  return (table[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => facts[name] ?? whole);
}

/** The sentence for one, or for any other count. */
export function sayCount(key, count, facts = {}) {
  return say(`${key}.${count === 1 ? "one" : "other"}`, { count, ...facts });
}

/** A known word of the wire in English, or the word itself: devices may be newer than this page. */
export function sayWord(family, word) {
  return table[`${family}.${word}`] ?? word;
}
