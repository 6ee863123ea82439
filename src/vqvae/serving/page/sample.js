// The panel of samples: codes as they are drawn, and what the decoder makes of them.

import { drawCodes } from "./code-map.js";
import { Complete } from "./complete.js";
import { Message, announce, count, fill, find, make, plural, whole } from "./dom.js";
import { pixelsOf, show } from "./pixels.js";
import { at, stream } from "./server.js";
import { Slowly } from "./slowly.js";

const MAP_SIDE = 240;

export class Sample {
  /** `edit(model, codes, picture)` opens drawn codes in the pictures panel. */
  constructor(edit) {
    this.edit = edit;
    this.message = new Message("sample-message");
    this.complete = new Complete(this.message);
    for (const name of ["temperature", "top-k"]) find(`sample-${name}`).addEventListener("input", () => this.#words());
    // Most priors draw faster than one can watch.
    find("sample-slowly").checked = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    find("sample-dice").addEventListener("click", () => (find("sample-seed").value = String(Math.floor(Math.random() * 1e6))));
    find("sample-stop").addEventListener("click", () => this.drawing?.abort());
    find("sample-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
  }

  use(model) {
    this.drawing?.abort();
    this.model = model;
    const classes = model.classes ?? [];
    fill(find("sample-label"), [["", "Any"], ...classes.map((name) => [name, name])]);
    find("sample-label-box").hidden = classes.length === 0;
    find("sample-count").max = String(model.limits?.samples ?? 16);
    const size = model.layout[0].codebook_size;
    find("sample-top-k").max = String(Math.ceil(Math.log2(size)));
    find("sample-top-k").value = find("sample-top-k").max;
    find("complete").hidden = !model.can.complete;
    this.complete.use(model);
    find("samples").replaceChildren();
    this.#words();
  }

  get topK() {
    const slider = find("sample-top-k");
    return slider.value === slider.max ? null : 2 ** Number(slider.value);
  }

  #words() {
    find("sample-temperature-words").textContent = Number(find("sample-temperature").value).toFixed(2);
    const words = this.topK === null ? "all codes" : plural(this.topK, "code");
    find("sample-top-k-words").textContent = words;
    find("sample-top-k").setAttribute("aria-valuetext", words);
  }

  async #start() {
    this.drawing?.abort();
    const drawing = (this.drawing = new AbortController());
    find("sample-stop").disabled = false;
    find("sample-progress").hidden = false;
    find("sample-progress").value = 0;
    const drawn = await this.message.around(() => this.#draw(drawing.signal));
    if (this.drawing !== drawing) return;
    find("sample-stop").disabled = true;
    find("sample-progress").hidden = true;
    if (!drawn || drawing.signal.aborted) find("sample-words").textContent = "Stopped.";
  }

  async #draw(signal) {
    const { model } = this;
    const number = whole(find("sample-count"));
    const asked = {
      count: number,
      seed: whole(find("sample-seed")),
      temperature: Number(find("sample-temperature").value),
      top_k: this.topK,
      label: find("sample-label").value || null,
      stream: true,
      ...this.complete.asked(),
    };
    const began = performance.now();
    const views = Array.from({ length: number }, (_, index) => new View(index, model, asked));
    find("samples").replaceChildren(...views.map((view) => view.element));
    let drawn = 0;
    const all = views[0].places - views[0].kept;
    const drew = (data) => {
      drawn += data.positions.length;
      views.forEach((view, index) => view.codes(data, index));
      find("sample-progress").value = all ? drawn / all : 1;
      find("sample-words").textContent = `${count(drawn)} of ${count(all)} codes of each sample`;
    };
    const slowly = find("sample-slowly").checked ? new Slowly(all, drew, signal) : null;
    let done = null;
    find("sample-words").textContent = "Waiting for the first code.";
    await stream(at(model, "sample"), asked, (name, data) => {
      if (signal.aborted) return;
      if (name === "codes") slowly ? slowly.add(data) : drew(data);
      else if (name === "picture" && !slowly) views.forEach((view, index) => view.picture(data.pictures[index]));
      else if (name === "done") done = data;
    }, signal);
    const seconds = (performance.now() - began) / 1000;
    await slowly?.end();
    await Promise.all(views.map((view, index) => view.done(done.codes[index], done.pictures[index], this.edit)));
    find("sample-words").textContent = `Drawn in ${seconds.toFixed(1)} s.`;
    announce(`${plural(number, "sample")} drawn.`);
  }
}

/** One sample: its map of codes beside the picture. */
class View {
  constructor(index, model, { codes, keep }) {
    this.model = model;
    this.levels = model.layout.map(({ space, num_codebooks: books }, level) => ({
      // A model of any length knows the shape at the end.
      shape: codes?.levels[level].shape ?? [books, ...(space ?? [0])],
      data: codes ? codes.levels[level].data.map((code, place) => (kept(keep, level, codes, place) ? code : -1)) : null,
    }));
    for (const level of this.levels) level.data ??= new Array(level.shape.reduce((one, other) => one * other)).fill(-1);
    this.places = this.levels.reduce((sum, { data }) => sum + data.length, 0);
    this.kept = this.levels.reduce((sum, { data }) => sum + data.filter((code) => code >= 0).length, 0);
    this.map = make("canvas", { role: "img", "aria-label": `Codes of sample ${index + 1}` });
    this.image = make("canvas", { role: "img", "aria-label": `Sample ${index + 1}`, width: 1, height: 1 });
    this.sound = make("audio", { controls: true, hidden: true, "aria-label": `Sample ${index + 1}` });
    this.sound.hidden = true;
    this.buttons = make("div", { class: "buttons" });
    const title = make("figcaption", {}, `Sample ${index + 1}`);
    this.element = make("li", {}, make("figure", { class: "sample" }, title, this.map, this.image, this.sound, this.buttons));
    this.#draw(this.levels.length - 1);
  }

  codes({ level, positions, codes }, index) {
    positions.forEach((place, order) => (this.levels[level].data[place] = codes[index][order]));
    this.#draw(level);
  }

  #draw(level) {
    const { shape, data } = this.levels[level];
    const [height, width] = shape.length > 2 ? shape.slice(-2) : [1, shape.at(-1)];
    if (!width) return;
    const cell = Math.max(1, Math.floor(MAP_SIDE / Math.max(height, width)));
    drawCodes(this.map, { height, width, codes: data, cell });
    if (shape.length < 3) this.map.classList.add("line");
  }

  async picture(url) {
    if (!url) return;
    if (url.startsWith("data:audio")) {
      this.image.hidden = true;
      this.sound.hidden = false;
      this.sound.src = url;
      return;
    }
    const order = (this.asked = (this.asked ?? 0) + 1);
    const pixels = await pixelsOf(url);
    if (order === this.asked) show(this.image, pixels);
  }

  /** Show the end of it, with what one can do next. */
  async done(codes, url, edit) {
    await this.picture(url);
    codes?.levels.forEach((found, level) => {
      this.levels[level] = found;
      this.#draw(level);
    });
    const link = make("a", { href: url, download: url.startsWith("data:audio") ? "sample.wav" : "sample.png" }, "Save");
    this.buttons.append(link);
    if (this.model.kind !== "images" || !codes) return;
    const button = make("button", { type: "button" }, "Edit its codes");
    button.addEventListener("click", () => edit(this.model, codes, url));
    this.buttons.prepend(button);
  }
}

function kept(keep, level, codes, place) {
  const mask = codes.levels.length > 1 ? keep[level] : keep;
  return mask[place % mask.length] === 1;
}
