// The panel of pictures: encode one, look at its codes, and change them.

import { showBits, showHeat } from "./bits.js";
import { Blend } from "./blend.js";
import { CodeMap } from "./code-map.js";
import { Palette, codebookOf, drawPatch } from "./codebook.js";
import { codeColour, css, heat } from "./colours.js";
import { Message, announce, fill, find, latest, make, plural, whole } from "./dom.js";
import { PICTURES, dropZone } from "./drop.js";
import { differences, paint, pixelsOf, prepared, show } from "./pixels.js";
import { at, form, postBlob, postJSON } from "./server.js";

const UNDOS = 100;
const PATCH_SIDE = 56;
const DIFFERENCE = 64;

export class Pictures {
  constructor() {
    this.message = new Message("pictures-message");
    this.map = new CodeMap(find("codes"), { looked: (index) => this.#look(index), used: (index, first) => this.#use(index, first) });
    this.palette = new Palette(find("palette"), (code) => this.#setBrush(code));
    this.blend = new Blend(this);
    this.redraw = latest(() => this.message.around(() => this.#decode()));
    const takes = (type) => type.startsWith("image/");
    const words = { what: "a picture", button: "choose a file", accept: PICTURES, takes };
    dropZone(find("pictures-drop"), words, (file) => this.open(file));
    find("pictures-fit").addEventListener("change", () => this.file && this.open(this.file));
    // A finger scrolls the page, unless it paints.
    const touch = () => (find("codes").style.touchAction = this.tool === "paint" ? "none" : "manipulation");
    find("tools").addEventListener("change", touch);
    touch();
    find("surprise-label").addEventListener("change", () => this.#choose());
    find("level").addEventListener("change", () => this.#showMap());
    find("brush").addEventListener("change", () => this.#setBrush(whole(find("brush"))));
    find("undo").addEventListener("click", () => this.#undo());
    find("reset").addEventListener("click", () => this.#reset());
  }

  get tool() {
    return document.querySelector("input[name=tool]:checked").value;
  }

  get size() {
    return find("pictures-fit").value === "crop" ? this.model.size : null;
  }

  /** Change to another model; an open picture is encoded again. */
  use(model) {
    this.model = model;
    this.book = null;
    codebookOf(model).then((book) => {
      if (this.model !== model) return;
      this.book = book;
      if (this.codes) this.#showPalette();
    }, () => {});
    const classes = model.classes ?? [];
    fill(find("surprise-label"), [["", "Not chosen"], ...classes.map((name) => [name, name])]);
    find("surprise-label-box").hidden = classes.length === 0;
    const sized = Boolean(model.size);
    find("pictures-fit").closest("label").hidden = !sized;
    if (sized) find("pictures-fit").options[0].textContent = `Crop to ${model.size[1]} × ${model.size[0]}, as in training`;
    if (this.file) this.open(this.file);
    else find("pictures-result").hidden = true;
  }

  /** Encode a file and show all about it. */
  open(file) {
    this.file = file;
    this.opening?.abort();
    const { signal } = (this.opening = new AbortController());
    return this.message.around(async () => {
      find("pictures-drop").setAttribute("aria-busy", "true");
      try {
        await this.#opened(await this.#ask("codes,original,reconstruction,bits,bits_per_code,psnr", signal));
        announce(`The picture is encoded. ${find("difference-words").textContent}`);
      } catch (error) {
        if (error.name !== "AbortError") find("pictures-result").hidden = true;
        throw error;
      } finally {
        if (this.opening.signal === signal) find("pictures-drop").removeAttribute("aria-busy");
      }
    });
  }

  /** Parts of what the server makes of the file, given the chosen class. */
  async #ask(parts, signal) {
    const body = form(await prepared(this.file, this.size, this.model.limits), { parts, label: find("surprise-label").value || null });
    return postJSON(at(this.model, "reconstruct"), { body, signal });
  }

  /** Ask for the bits again, given another class. */
  #choose() {
    const { found, opening } = this;
    return this.message.around(async () => {
      const { bits_per_code: costs } = await this.#ask("bits_per_code", opening.signal);
      if (this.found !== found) return;
      found.bits_per_code = costs;
      this.#showMap();
    });
  }

  /** Show drawn codes; there is no original. */
  openCodes(codes, picture) {
    this.file = null;
    return this.message.around(() => this.#opened({ codes, original: null, reconstruction: picture, bits: null, bits_per_code: null }));
  }

  async #opened(found) {
    this.found = found;
    this.codes = found.codes;
    this.encoded = structuredClone(found.codes);
    this.history = [];
    this.original = found.original && (await pixelsOf(found.original));
    const made = await pixelsOf(found.reconstruction);
    const names = this.#maps().map(({ name }, index) => [index, name]);
    fill(find("level"), names);
    find("level-label").hidden = names.length < 2;
    find("pictures-result").hidden = false;
    find("original").closest("figure").hidden = find("difference").closest("figure").hidden = !this.original;
    if (this.original) {
      show(find("original"), this.original);
      find("original-words").textContent = `${this.original.width} × ${this.original.height} pixels`;
    }
    find("redrawn").textContent = "";
    this.#showMade(made);
    this.#showMap();
    showBits(find("bits").tBodies[0], found.bits, made.width * made.height);
    find("bits").closest("section").hidden = !found.bits;
    find("surprise").hidden = !found.bits;
    this.blend.use();
  }

  /** Every codebook of every level, coarse first. */
  #maps() {
    return this.codes.levels.flatMap(({ shape }, level) => Array.from({ length: shape[0] }, (_, codebook) => ({
      level,
      codebook,
      name: `${shape.at(-1)} × ${shape.at(-2)}${shape[0] > 1 ? `, codebook ${codebook + 1}` : ""}`,
    })));
  }

  #showMap() {
    Object.assign(this, this.#maps()[Number(find("level").value) || 0]);
    const { shape } = this.codes.levels[this.level];
    const [height, width] = shape.slice(-2);
    this.offset = this.codebook * height * width;
    this.codebookSize = this.model.layout[this.level].codebook_size;
    find("brush").max = this.codebookSize - 1;
    find("codes").setAttribute("aria-label", `Codes of the picture: ${plural(height, "row")}, ${plural(width, "column")}`);
    this.map.show({ height, width, codes: this.#part() });
    const costs = this.found.bits_per_code?.levels[this.level];
    showHeat(costs, { height, width }, this.model);
    this.#showPalette();
    this.#buttons();
  }

  #part() {
    const { shape, data } = this.codes.levels[this.level];
    const places = shape.at(-1) * shape.at(-2);
    return data.slice(this.offset, this.offset + places);
  }

  #showPalette() {
    const brush = Math.min(whole(find("brush")), this.codebookSize - 1);
    this.palette.show({ book: this.book?.[this.level], codebook: this.codebook, size: this.codebookSize, brush });
    this.#setBrush(brush);
  }

  #setBrush(code) {
    find("brush").value = String(code);
    this.palette.draw(code);
    const context = find("brush-patch").getContext("2d");
    drawPatch(context, this.book?.[this.level], { codebook: this.codebook, code }, 0, 0, 40);
  }

  #look(index) {
    if (index === null) return;
    const code = this.codes.levels[this.level].data[this.offset + index];
    const { shape } = this.codes.levels[this.level];
    const others = this.#part().filter((other) => other === code).length - 1;
    const [row, column] = [Math.floor(index / shape.at(-1)), index % shape.at(-1)];
    const costs = this.found.bits_per_code?.levels[this.level].data[this.offset + index];
    const elsewhere = others ? `It also occurs at ${plural(others, "other place")}, shown bright.` : "It occurs nowhere else here.";
    const surprise = costs === undefined ? "" : ` The prior needed ${costs.toFixed(1)} bits here.`;
    find("code-title").replaceChildren(make("i", { class: "swatch" }), `Code ${code}`);
    find("code-title").firstChild.style.background = css(codeColour(code));
    find("code-words").textContent = `Row ${row + 1}, column ${column + 1}. ${elsewhere}${surprise}`;
    // The mouse moves over too many codes to speak of each.
    if (document.activeElement === find("codes")) announce(`Row ${row + 1}, column ${column + 1}: code ${code}. ${elsewhere}${surprise}`);
    this.#showPatches(code);
  }

  #showPatches(code) {
    const book = this.book?.[this.level];
    const number = book?.counts[this.codebook][code] ?? 0;
    if (!number) {
      const why = book ? "This code does not occur in the training data that was looked at." : "The training data of this run is not here.";
      find("patches").replaceChildren(make("p", { class: "quiet" }, why));
      return;
    }
    const canvas = make("canvas", { width: PATCH_SIDE * number, height: PATCH_SIDE, role: "img",
      "aria-label": `${plural(number, "patch").replace("patchs", "patches")} of training data with code ${code}` });
    const context = canvas.getContext("2d");
    for (let patch = 0; patch < number; patch++) {
      drawPatch(context, book, { codebook: this.codebook, code, number: patch }, patch * PATCH_SIDE, 0, PATCH_SIDE - 4);
    }
    find("patches").replaceChildren(make("p", { class: "quiet" }, "In training data:"), canvas);
  }

  #use(index, first) {
    const { data } = this.codes.levels[this.level];
    const code = data[this.offset + index];
    if (this.tool === "pick") {
      if (first) this.#setBrush(code);
      return;
    }
    const brush = whole(find("brush"));
    if (first) this.history = [...this.history.slice(1 - UNDOS), structuredClone(this.codes)];
    if (code === brush) return;
    if (this.tool === "paint") data[this.offset + index] = brush;
    else if (first) this.#part().forEach((other, place) => other === code && (data[this.offset + place] = brush));
    this.#changed();
  }

  #changed() {
    this.map.map.codes = this.#part();
    this.map.draw();
    this.#buttons();
    this.since ??= performance.now();
    this.redraw();
  }

  async #decode() {
    const since = this.since ?? performance.now();
    this.since = null;
    const blob = await postBlob(at(this.model, "decode"), { json: { codes: this.codes, size: this.found.size ?? null } });
    this.#showMade(await pixelsOf(blob));
    find("redrawn").textContent = `redrawn in ${Math.round(performance.now() - since)} ms`;
  }

  #showMade(made) {
    this.made = made;
    show(find("reconstruction"), made);
    if (!this.original) return;
    const { found, psnr } = differences(this.original, made);
    show(find("difference"), paint(made.width, made.height, (index) => heat(found[index] / DIFFERENCE)));
    find("difference-words").textContent = Number.isFinite(psnr) ? `PSNR ${psnr.toFixed(1)} dB` : "none";
  }

  #buttons() {
    find("undo").disabled = find("reset").disabled = this.history.length === 0;
  }

  #undo() {
    this.codes = this.history.pop();
    this.#changed();
  }

  #reset() {
    this.codes = structuredClone(this.encoded);
    this.history = [];
    this.#changed();
  }
}
