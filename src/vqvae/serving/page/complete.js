// The part of a picture that a sample keeps.

import { cellAt } from "./code-map.js";
import { find } from "./dom.js";
import { PICTURES, dropZone } from "./drop.js";
import { pixelsOf, prepared } from "./pixels.js";
import { at, form, postJSON } from "./server.js";

const SHADE = "rgb(10 12 18 / 72%)";

export class Complete {
  constructor(message) {
    Object.assign(this, { message, codes: null, stroke: null });
    const takes = (type) => type.startsWith("image/");
    const words = { what: "a picture", button: "choose a file", accept: PICTURES, takes };
    dropZone(find("complete-drop"), words, (file) => this.message.around(() => this.#open(file)));
    for (const choice of document.querySelectorAll("input[name=keep]")) choice.addEventListener("change", () => this.#part(choice.value));
    find("complete-remove").addEventListener("click", () => this.#remove());
    const canvas = find("keep");
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.stroke = true;
      this.#drag(event);
    });
    canvas.addEventListener("pointermove", (event) => this.stroke && this.#drag(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (this.stroke = null));
  }

  use(model) {
    this.model = model;
    this.#remove();
  }

  /** What a request for samples adds: the codes, and a mask of those that stay. */
  asked() {
    if (!this.codes || !find("complete").open) return {};
    const masks = this.codes.levels.map(({ shape }) => this.#stretched(...shape.slice(-2)));
    return { codes: this.codes, keep: masks.length > 1 ? masks : masks[0] };
  }

  async #open(file) {
    const body = form(await prepared(file, this.model.size, this.model.limits), { parts: "codes,original" });
    const found = await postJSON(at(this.model, "reconstruct"), { body });
    this.codes = found.codes;
    this.picture = await pixelsOf(found.original);
    // The finest map has the handles; coarser ones follow.
    [this.height, this.width] = this.codes.levels.at(-1).shape.slice(-2);
    find("complete-result").hidden = false;
    this.#part(document.querySelector("input[name=keep]:checked").value);
  }

  #remove() {
    this.codes = null;
    find("complete-result").hidden = true;
    find("complete-drop").classList.remove("filled");
    find("complete-drop").querySelector(".name").hidden = true;
  }

  #part(name) {
    if (!this.codes) return;
    const { height, width } = this;
    const rules = {
      top: (row) => row < height / 2,
      left: (row, column) => column < width / 2,
      border: (row, column) => Math.min(row, height - 1 - row) < height / 4 || Math.min(column, width - 1 - column) < width / 4,
      all: () => true,
    };
    this.mask = Array.from({ length: height * width }, (_, place) => Number(rules[name](Math.floor(place / width), place % width)));
    this.#draw();
  }

  #drag(event) {
    const place = cellAt(find("keep"), event, this.height, this.width);
    if (place === null) return;
    const value = Number(document.querySelector("input[name=drag]:checked").value);
    const [row, column] = [Math.floor(place / this.width), place % this.width];
    // A finger is wider than a code.
    const reach = Math.floor(Math.max(this.height, this.width) / 16);
    for (let y = Math.max(0, row - reach); y <= Math.min(this.height - 1, row + reach); y++) {
      for (let x = Math.max(0, column - reach); x <= Math.min(this.width - 1, column + reach); x++) this.mask[y * this.width + x] = value;
    }
    this.#draw();
  }

  #draw() {
    const canvas = find("keep");
    const scale = Math.max(1, Math.round(320 / this.picture.width));
    [canvas.width, canvas.height] = [this.picture.width * scale, this.picture.height * scale];
    const context = canvas.getContext("2d");
    const source = new OffscreenCanvas(this.picture.width, this.picture.height);
    source.getContext("2d").putImageData(this.picture, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    context.fillStyle = SHADE;
    const [wide, high] = [canvas.width / this.width, canvas.height / this.height];
    this.mask.forEach((stays, place) => {
      if (!stays) context.fillRect((place % this.width) * wide, Math.floor(place / this.width) * high, wide, high);
    });
  }

  /** The mask in another grid: a coarse code stays if all of its finer ones stay. */
  #stretched(height, width) {
    const mask = new Array(height * width).fill(1);
    this.mask.forEach((stays, place) => {
      const row = Math.floor((Math.floor(place / this.width) * height) / this.height);
      const column = Math.floor(((place % this.width) * width) / this.width);
      if (!stays) mask[row * width + column] = 0;
    });
    return mask;
  }
}
