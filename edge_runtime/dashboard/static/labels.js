// Colours, patterns and order of the labels. Okabe and Ito's palette, which colour-blind readers can tell apart;
// wherever a colour stands, its label stands too, and areas that touch differ in pattern as well.

const KNOWN = {
  happy: ["#e69f00", "solid"],
  surprise: ["#56b4e9", "dots"],
  neutral: ["#8e99a8", "solid"],
  sad: ["#0072b2", "rising"],
  fear: ["#cc79a7", "flat"],
  disgust: ["#009e73", "upright"],
  contempt: ["#b5a71b", "dots"],
  angry: ["#d55e00", "falling"],
};
const ALIASES = {
  happiness: "happy", joy: "happy", sadness: "sad", anger: "angry", surprised: "surprise", disgusted: "disgust",
  fearful: "fear", calm: "neutral",
};
const ORDER = Object.keys(KNOWN);
const SPARE = [
  ["#009e73", "dots"], ["#e69f00", "rising"], ["#0072b2", "flat"], ["#cc79a7", "falling"], ["#56b4e9", "upright"],
];
const spares = new Map();

function known(label) {
  const name = label.toLowerCase();
  return ALIASES[name] ?? name;
}

function look(label) {
  const name = known(label);
  if (KNOWN[name]) return KNOWN[name];
  if (!spares.has(name)) spares.set(name, SPARE[spares.size % SPARE.length]);
  return spares.get(name);
}

const colourOf = (label) => look(label)[0];
const patternOf = (label) => look(label)[1];

/** From pleasant to unpleasant, what is not known last. */
export function inOrder(labels) {
  const rank = (label) => (ORDER.includes(known(label)) ? ORDER.indexOf(known(label)) : ORDER.length);
  return [...labels].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** Paints an element in a label's colour and pattern. */
export function paint(element, label) {
  element.style.setProperty("--label", colourOf(label));
  element.dataset.pattern = patternOf(label);
}

/** A canvas fill in a label's colour and pattern. */
export function canvasFill(context, label, ratio) {
  const size = Math.round(8 * ratio);
  const tile = new OffscreenCanvas(size, size);
  const draw = tile.getContext("2d");
  draw.fillStyle = colourOf(label);
  draw.fillRect(0, 0, size, size);
  draw.strokeStyle = draw.fillStyle = "rgb(255 255 255 / 38%)";
  draw.lineWidth = 1.2 * ratio;
  const line = (...points) => {
    draw.beginPath();
    for (let at = 0; at < points.length; at += 4) {
      draw.moveTo(points[at] * size, points[at + 1] * size);
      draw.lineTo(points[at + 2] * size, points[at + 3] * size);
    }
    draw.stroke();
  };
  switch (patternOf(label)) {
    case "rising": line(-0.1, 1.1, 1.1, -0.1, -0.1, 0.1, 0.1, -0.1, 0.9, 1.1, 1.1, 0.9); break;
    case "falling": line(-0.1, -0.1, 1.1, 1.1, 0.9, -0.1, 1.1, 0.1, -0.1, 0.9, 0.1, 1.1); break;
    case "flat": line(0, 0.5, 1, 0.5); break;
    case "upright": line(0.5, 0, 0.5, 1); break;
    case "dots":
      draw.beginPath();
      draw.arc(size / 2, size / 2, size * 0.16, 0, 2 * Math.PI);
      draw.fill();
      break;
  }
  return context.createPattern(tile, "repeat");
}
