// Between two pictures: more and more codes of the second one.

import { Message, find, latest, make } from "./dom.js";
import { PICTURES, dropZone } from "./drop.js";
import { pixelsOf, prepared, show } from "./pixels.js";
import { at, form, postBlob, postJSON } from "./server.js";

const STEPS = 7;

export class Blend {
  constructor(pictures) {
    Object.assign(this, { pictures, other: null, file: null });
    this.message = new Message("blend-message");
    this.redraw = latest(() => this.message.around(() => this.#one()));
    this.restrip = latest(() => this.message.around(() => this.#strip()));
    const takes = () => false;
    const words = { what: "a second picture", button: "choose a file", accept: PICTURES, takes };
    dropZone(find("blend-drop"), words, (file) => {
      this.file = file;
      this.use();
    });
    find("blend-share").addEventListener("input", () => this.#moved());
    find("blend-order").addEventListener("change", () => this.#both());
  }

  /** Take the pictures panel's picture as the first one, and encode the second one in its size. */
  use() {
    find("blend-result").hidden = true;
    if (!this.file || !this.pictures.made) return;
    this.message.around(async () => {
      const { model, made, codes } = this.pictures;
      const body = form(await prepared(this.file, [made.height, made.width], model.limits), { parts: "codes" });
      const found = await postJSON(at(model, "reconstruct"), { body });
      if (this.pictures.codes !== codes) return;
      this.first = structuredClone(codes);
      this.other = found.codes;
      find("blend-result").hidden = false;
      this.#both();
    });
  }

  #both() {
    this.#moved();
    this.restrip();
  }

  #moved() {
    find("blend-words").textContent = `${find("blend-share").value} %`;
    this.redraw();
  }

  async #one() {
    show(find("blend-picture"), await this.#decoded(Number(find("blend-share").value) / 100));
  }

  async #strip() {
    const items = [];
    for (let step = 0; step < STEPS; step++) {
      const share = step / (STEPS - 1);
      const percent = Math.round(share * 100);
      const canvas = make("canvas", { "aria-hidden": "true" });
      show(canvas, await this.#decoded(share));
      const label = `${percent} % of the codes from the second picture`;
      const button = make("button", { type: "button", class: "plain", "aria-label": label }, canvas);
      button.addEventListener("click", () => {
        find("blend-share").value = String(percent);
        this.#moved();
      });
      items.push(make("li", {}, button));
    }
    find("blend-strip").replaceChildren(...items);
  }

  async #decoded(share) {
    const order = ORDERS[find("blend-order").value];
    const levels = this.first.levels.map(({ shape, data }, level) => {
      const [height, width] = shape.slice(-2);
      const places = height * width;
      const rank = order(height, width);
      const other = this.other.levels[level].data;
      return { shape, data: data.map((code, index) => (rank(index % places) < share * places ? other[index] : code)) };
    });
    const { model, found } = this.pictures;
    const blob = await postBlob(at(model, "decode"), { json: { codes: { levels }, size: found.size ?? null } });
    return pixelsOf(blob);
  }
}

/** A number that looks random, and is the same each time for a place. */
function scattered(place) {
  const mixed = Math.imul(place ^ (place >>> 3), 0x9e3779b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 0;
}

/** The rank of each place, from 0: the second picture's codes come in this order. */
const ORDERS = {
  rows: () => (place) => place,
  columns: (height, width) => (place) => (place % width) * height + Math.floor(place / width),
  scattered: (height, width) => {
    const places = Array.from({ length: height * width }, (_, place) => place);
    places.sort((one, other) => scattered(one) - scattered(other));
    const ranks = new Uint32Array(places.length);
    places.forEach((place, rank) => (ranks[place] = rank));
    return (place) => ranks[place];
  },
};
