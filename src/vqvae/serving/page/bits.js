// Bits as bars and as a heat map.

import { heat } from "./colours.js";
import { count, find, make } from "./dom.js";
import { paint, show } from "./pixels.js";

const WORDS = {
  codes_prior: "Codes, under the prior",
  codes_uniform: "Codes, all equally likely",
  codes_static: "Codes, by their frequency",
  vqz: "Codes, as a .vqz file",
  jpeg: "JPEG",
  webp: "WebP",
  png: "PNG, exact",
  raw: "Pixels",
};

/** A table of bars, the longest one full. */
export function showBits(body, bits, pixels) {
  const rows = Object.entries(bits ?? {}).filter(([name, value]) => name in WORDS && Number.isFinite(value));
  rows.sort(([one], [other]) => Object.keys(WORDS).indexOf(one) - Object.keys(WORDS).indexOf(other));
  const most = Math.max(...rows.map(([, value]) => value));
  body.replaceChildren(...rows.map(([name, value]) => {
    const bar = make("div", { class: name.startsWith("codes") || name === "vqz" ? "bar ours" : "bar" });
    bar.style.width = `${(100 * value) / most}%`;
    const size = `${count(Math.ceil(value / 8))} bytes`;
    return make("tr", {}, make("th", { scope: "row" }, WORDS[name]), make("td", {}, bar),
      make("td", {}, size, make("small", {}, ` ${(value / pixels).toFixed(2)} bits per pixel`)));
  }));
}

/** The bits of each code of a map as a heat map, or a sentence on why there is none. */
export function showHeat(level, map, model) {
  const costs = level && sumOfCodebooks(level, map);
  find("heat").hidden = find("heat-scale").hidden = !costs;
  if (!costs) {
    find("surprise-words").textContent = `This run gives no bits for the codes of this picture. ${why(model)}`;
    return;
  }
  const most = Math.max(...costs, 1e-9);
  find("surprise-words").textContent = "The prior did not expect the bright codes. The map shows the codes as encoded, before any edit.";
  show(find("heat"), paint(map.width, map.height, (index) => heat(costs[index] / most)));
  show(find("heat-bar"), paint(128, 8, (index) => heat((index % 128) / 127)));
  find("heat").setAttribute("aria-label", `Bits of each code under the prior, from 0 to ${most.toFixed(1)}`);
  find("heat-low").textContent = "0 bits";
  find("heat-high").textContent = `${most.toFixed(1)} bits`;
}

function why({ can, classes, size }) {
  if (!can.sample) return "It has no prior: train one with \"vqvae train-prior RUN\".";
  if (classes) return "Its prior needs the class of the picture. Choose it below.";
  return `Its prior takes pictures of ${size?.[1]} × ${size?.[0]} pixels: choose this size above.`;
}

function sumOfCodebooks({ shape, data }, { height, width }) {
  const places = height * width;
  if (shape.at(-2) !== height || shape.at(-1) !== width) return null;
  const sums = new Float64Array(places);
  data.forEach((bits, index) => (sums[index % places] += bits));
  return sums;
}
