// A map of codes on a canvas: each code in its colour. Pointer and keyboard look, pick and paint.

import { codeColour } from "./colours.js";
import { paint } from "./pixels.js";

const DIM = 0.22;
const SIDE = 560;

/** Draw a map of codes, `cell` pixels for each. `bright(code, index)` says which stand out. */
export function drawCodes(canvas, { height, width, codes, cell, bright = null }) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches ? 24 : 250;
  const small = paint(width, height, (index) => {
    const code = codes[index];
    if (code < 0) return [dark, dark, dark];
    const colour = codeColour(code);
    return bright === null || bright(code, index) ? colour : colour.map((channel) => dark + (channel - dark) * DIM);
  });
  const source = new OffscreenCanvas(width, height);
  source.getContext("2d").putImageData(small, 0, 0);
  canvas.width = width * cell;
  canvas.height = height * cell;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return context;
}

/** A frame around one cell that is seen on every colour. */
export function frame(context, column, row, cell, span = 1) {
  for (const [colour, inset] of [["#000", 0.5], ["#fff", 1.5]]) {
    context.strokeStyle = colour;
    context.strokeRect(column * cell + inset, row * cell + inset, cell * span - 2 * inset, cell - 2 * inset);
  }
}

/** The cell under a pointer, as an index, or null. */
export function cellAt(canvas, event, height, width) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * width);
  const row = Math.floor(((event.clientY - box.top) / box.height) * height);
  return column >= 0 && column < width && row >= 0 && row < height ? row * width + column : null;
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * The map of the pictures panel.
 *
 * `looked(index)`: the cursor is on a code, or gone (null). `used(index, first)`: a code is clicked, or painted over by a stroke.
 */
export class CodeMap {
  constructor(canvas, { looked, used }) {
    Object.assign(this, { canvas, looked, used, cursor: null, map: null, stroke: null });
    canvas.addEventListener("pointermove", (event) => this.#pointed(event));
    canvas.addEventListener("pointerleave", () => {
      if (document.activeElement !== canvas) this.#move(null);
    });
    canvas.addEventListener("pointerdown", (event) => this.#pressed(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (this.stroke = null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.map && this.cursor === null && this.#move(0));
    canvas.addEventListener("blur", () => this.#move(null));
  }

  /** Show a map: { height, width, codes }. */
  show(map) {
    this.map = map;
    if (this.cursor !== null && this.cursor >= map.height * map.width) this.cursor = null;
    this.draw();
  }

  draw() {
    const { height, width, codes } = this.map;
    const cell = Math.max(1, Math.floor(SIDE / Math.max(height, width)));
    const chosen = this.cursor === null ? null : codes[this.cursor];
    const bright = chosen === null ? null : (code) => code === chosen;
    const context = drawCodes(this.canvas, { height, width, codes, cell, bright });
    if (this.cursor !== null && cell > 3) frame(context, this.cursor % width, Math.floor(this.cursor / width), cell);
  }

  #move(index) {
    if (index === this.cursor || !this.map) return;
    this.cursor = index;
    this.draw();
    this.looked(index);
  }

  #pointed(event) {
    if (!this.map) return;
    const index = cellAt(this.canvas, event, this.map.height, this.map.width);
    if (this.stroke && index !== null) {
      for (const passed of this.#between(this.stroke.last, index)) this.used(passed, false);
      this.stroke.last = index;
    }
    this.#move(index);
  }

  /** The cells on the way, so that a fast stroke has no holes. */
  #between(from, to) {
    const { width } = this.map;
    const start = [Math.floor(from / width), from % width];
    const end = [Math.floor(to / width), to % width];
    const steps = Math.max(Math.abs(end[0] - start[0]), Math.abs(end[1] - start[1]));
    const along = (axis, step) => Math.round(start[axis] + ((end[axis] - start[axis]) * step) / steps);
    return Array.from({ length: steps }, (_, step) => along(0, step + 1) * width + along(1, step + 1));
  }

  #pressed(event) {
    const index = this.map && cellAt(this.canvas, event, this.map.height, this.map.width);
    if (index === null || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.stroke = { last: index };
    this.used(index, true);
    this.#move(index);
    this.looked(index);
  }

  #key(event) {
    if (!this.map) return;
    const { height, width } = this.map;
    const step = STEPS[event.key];
    if (step) {
      const at = this.cursor ?? 0;
      const row = Math.min(Math.max(Math.floor(at / width) + step[0], 0), height - 1);
      const column = Math.min(Math.max((at % width) + step[1], 0), width - 1);
      this.#move(row * width + column);
    } else if (event.key === "Enter" || event.key === " ") {
      this.used(this.cursor ?? 0, true);
      this.draw();
      this.looked(this.cursor ?? 0);
    } else return;
    event.preventDefault();
  }
}
