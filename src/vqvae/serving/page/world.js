// The panel of the imagined world: actions in, frames out.

import { Message, Sentence, announce, find, make, whole } from "./dom.js";
import { pixelsOf, show } from "./pixels.js";
import { at, postJSON } from "./server.js";

const KEYS = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" };
const SIGNS = { up: "↑", down: "↓", left: "←", right: "→" };
const STEPS = 12;
const RATE = 10;

/** The directions in an action's name, such as "left up" of "forward_left". */
function directions(action) {
  const words = (action ?? "").toLowerCase().split(/[^a-z]+/);
  const means = { up: ["forward", "forwards", "up", "north", "ahead"], down: ["back", "backward", "backwards", "down", "south"] };
  Object.assign(means, { left: ["left", "west"], right: ["right", "east"] });
  return Object.keys(means).filter((name) => means[name].some((word) => words.includes(word))).sort().join(" ");
}

const named = (action) => action?.replaceAll("_", " ") ?? "next frame";

export class World {
  constructor() {
    this.message = new Message("world-message");
    Object.assign(this, { world: null, held: [], stepping: false, times: [] });
    find("world-temperature").addEventListener("input", () => this.#words());
    find("world-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.message.around(() => this.#start());
    });
    document.addEventListener("keydown", (event) => this.#key(event, true));
    document.addEventListener("keyup", (event) => this.#key(event, false));
    window.addEventListener("blur", () => (this.held = []));
    window.addEventListener("pagehide", () => this.close());
  }

  use(model) {
    this.close();
    this.model = model;
    const field = find("world-start");
    field.max = model.starts ? String(model.starts - 1) : "";
    find("world-stage").hidden = true;
    this.#words();
  }

  #words() {
    find("world-temperature-words").textContent = Number(find("world-temperature").value).toFixed(2);
  }

  /** Give the world back to the server. */
  close() {
    this.held = [];
    if (!this.world) return;
    const path = at(this.model, "worlds", this.world);
    this.world = null;
    postJSON(path, { method: "DELETE" }).catch(() => {});
  }

  async #start() {
    this.close();
    const { model } = this;
    const temperature = Number(find("world-temperature").value);
    const asked = { start: whole(find("world-start")), seed: whole(find("world-seed")), temperature };
    const found = await postJSON(at(model, "worlds"), { json: asked });
    if (this.model !== model) return;
    this.world = found.world;
    // A world without actions goes on by itself: one step, without a name.
    this.actions = found.actions?.length ? found.actions : [null];
    this.byKeys = new Map(this.actions.map((action) => [directions(action), action]));
    this.times = [];
    this.count = 0;
    find("world-rate").textContent = "–";
    find("world-stage").hidden = false;
    find("world-engine-view").hidden = true;
    this.#buttons();
    await this.#show({ ...found, frame: found.frames.at(-1) });
    find("world-words").textContent = `Start ${asked.start}.`;
    announce("The world is open. Arrow keys move.");
    find("world-frame").focus();
  }

  #buttons() {
    const buttons = this.actions.map((action) => {
      const means = directions(action).split(" ");
      const sign = Object.keys(SIGNS).filter((name) => means.includes(name)).map((name) => SIGNS[name]).join("");
      const button = make("button", { type: "button" }, named(action));
      if (sign) button.prepend(make("kbd", { "aria-hidden": "true" }, sign));
      const held = { action };
      const press = () => this.#hold(held);
      const release = () => this.#release(held);
      button.addEventListener("pointerdown", press);
      for (const name of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(name, release);
      button.addEventListener("click", (event) => event.detail === 0 && this.#once(held));
      return button;
    });
    find("world-actions").replaceChildren(...buttons);
  }

  #key(event, down) {
    const name = KEYS[event.key];
    if (!name || !this.world || !find("world-stage").checkVisibility() || event.target.matches("input, select")) return;
    event.preventDefault();
    if (event.repeat) return;
    if (down) this.#hold(name);
    else this.#release(name);
  }

  /** Hold an arrow key (its name) or a button (its object). */
  #hold(name) {
    this.held = [...this.held.filter((other) => other !== name), name];
    this.#walk();
  }

  #release(name) {
    this.held = this.held.filter((other) => other !== name);
  }

  #once(held) {
    this.#hold(held);
    this.#release(held);
  }

  /** What to do, as { action }: that of a button, of all arrow keys together, or of the last one. Null if nothing held does anything. */
  #action() {
    const last = this.held.at(-1);
    if (typeof last !== "string") return last ?? null;
    if (this.actions[0] === null) return { action: null };
    const all = this.held.filter((name) => name in SIGNS).sort().join(" ");
    const keys = [all, last].find((name) => this.byKeys.has(name));
    return keys === undefined ? null : { action: this.byKeys.get(keys) };
  }

  async #walk() {
    if (this.stepping) return;
    this.stepping = true;
    try {
      // The first step begins before the key is up again.
      for (let next = this.#action(); next !== null && this.world; next = this.#action()) {
        if (!(await this.message.around(() => this.#step(next.action)))) this.held = [];
      }
    } finally {
      this.stepping = false;
    }
  }

  /** Show the frames, where a code stands for several, and the engine's beside the last. The engine's last one stays when it ends. */
  async #show({ frame, before = [], engine_frame: beside, engine_words: why }) {
    for (const url of before) {
      show(find("world-frame"), await pixelsOf(url));
      await new Promise((later) => setTimeout(later, 1000 / (this.model.frame_rate || RATE)));
    }
    const [imagined, real] = await Promise.all([frame, beside].map((url) => url && pixelsOf(url)));
    show(find("world-frame"), imagined);
    if (real) show(find("world-engine"), real);
    if (real) find("world-engine-view").hidden = false;
    find("world-engine-words").textContent = why ?? "";
  }

  async #step(action) {
    const { world } = this;
    const began = performance.now();
    const found = await postJSON(at(this.model, "worlds", world, "step"), { json: { action } });
    if (this.world !== world) return;
    if (!found.frame) throw new Sentence("The world has ended. Press Start for another walk.");
    await this.#show(found);
    this.count += 1;
    this.times = [...this.times.slice(1 - STEPS), (performance.now() - began) / (1 + found.before.length)];
    const mean = this.times.reduce((one, other) => one + other) / this.times.length;
    find("world-rate").textContent = (1000 / mean).toFixed(1);
    find("world-words").textContent = `Frame ${this.count}: ${named(action)}.`;
  }
}
