// The codebook of a map of codes: its training patches and the palette to choose a brush from.

import { cellAt, frame } from "./code-map.js";
import { codeColour, css } from "./colours.js";
import { blobOf } from "./pixels.js";
import { at, getJSON } from "./server.js";

const books = new Map();
const PALETTE_CELL = 20;

/** The patches of a model, fetched once. Per level: { patch, columns, per_code, counts, sheet: ImageBitmap }. */
export function codebookOf(model) {
  if (!books.has(model.name)) {
    const loaded = load(model).catch((error) => {
      books.delete(model.name);
      throw error;
    });
    books.set(model.name, loaded);
  }
  return books.get(model.name);
}

async function load(model) {
  const { levels } = await getJSON(at(model, "codebook"));
  return Promise.all(levels.map(async (level) => ({ ...level, sheet: await createImageBitmap(blobOf(level.sheet)) })));
}

/** Draw patch `number` of a code, or the upper part of it, into a box of a canvas; its colour if there is none. */
export function drawPatch(context, book, { codebook, code, number = 0 }, x, y, side, high = side) {
  if (!book || number >= book.counts[codebook][code]) {
    context.fillStyle = css(codeColour(code));
    context.fillRect(x, y, side, high);
    return;
  }
  const [height, width] = book.patch;
  const cell = (codebook * book.counts[codebook].length + code) * book.per_code + number;
  const left = (cell % book.columns) * width;
  const top = Math.floor(cell / book.columns) * height;
  context.imageSmoothingEnabled = false;
  context.drawImage(book.sheet, left, top, width, height * (high / side), x, y, side, high);
}

/** All codes as patches, with the colour below each. `chosen(code)` gets a click. */
export class Palette {
  constructor(canvas, chosen) {
    Object.assign(this, { canvas, chosen, size: 0 });
    canvas.addEventListener("click", (event) => {
      const code = cellAt(canvas, event, this.rows, this.columns);
      if (code !== null && code < this.size) this.chosen(code);
    });
  }

  show({ book, codebook, size, brush }) {
    Object.assign(this, { book, codebook, size });
    this.columns = Math.min(size, size > 256 ? 32 : 16);
    this.rows = Math.ceil(size / this.columns);
    this.canvas.width = this.columns * PALETTE_CELL;
    this.canvas.height = this.rows * PALETTE_CELL;
    this.draw(brush);
  }

  draw(brush) {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (let code = 0; code < this.size; code++) {
      const [x, y] = [(code % this.columns) * PALETTE_CELL, Math.floor(code / this.columns) * PALETTE_CELL];
      context.fillStyle = css(codeColour(code));
      context.fillRect(x, y, PALETTE_CELL - 1, PALETTE_CELL - 1);
      drawPatch(context, this.book, { codebook: this.codebook, code }, x, y, PALETTE_CELL - 1, PALETTE_CELL - 5);
    }
    if (brush < this.size) frame(context, brush % this.columns, Math.floor(brush / this.columns), PALETTE_CELL);
  }
}
