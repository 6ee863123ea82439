// The panel of speech: the original, its reconstruction and every voice, with codes and phones along time.

import { drawCodes, cellAt } from "./code-map.js";
import { Message, Sentence, announce, count, find, make, plural } from "./dom.js";
import { dropZone } from "./drop.js";
import { blobOf, show, tooLarge } from "./pixels.js";
import { Recorder } from "./recorder.js";
import { at, form, postBlob, postJSON } from "./server.js";
import { drawWave, samplesOf, secondsOf, spectrogram } from "./sound.js";

const WIDTH = 900;

export class Speech {
  constructor() {
    this.message = new Message("speech-message");
    const takes = (type) => type.startsWith("audio/");
    const words = { what: "a recording", button: "choose a file", accept: "audio/*,.wav,.flac,.ogg", takes };
    dropZone(find("speech-drop"), words, (file) => this.open(file));
    find("record").addEventListener("click", () => this.message.around(() => this.#record()));
  }

  use(model) {
    this.model = model;
    this.opening?.abort();
    this.#empty();
    find("speech-words").textContent = "";
    if (this.file) this.open(this.file);
  }

  #empty() {
    for (const name of ["tracks", "voices"]) {
      for (const player of find(name).querySelectorAll("audio")) URL.revokeObjectURL(player.src);
      find(name).replaceChildren();
    }
  }

  async #record() {
    const button = find("record");
    if (this.recorder) {
      const recorder = this.recorder;
      this.recorder = null;
      button.setAttribute("aria-pressed", "false");
      button.lastElementChild.textContent = "Record";
      this.open(await recorder.stop());
      return;
    }
    const most = this.model.limits?.seconds ?? 60;
    this.recorder = await Recorder.start(this.model.signal.rate, Math.min(most, 60), () => button.click());
    button.setAttribute("aria-pressed", "true");
    button.lastElementChild.textContent = "Stop";
    find("speech-words").textContent = "Recording. Speak, then press Stop.";
  }

  /** Show a recording in every voice. */
  open(file) {
    this.file = file;
    this.opening?.abort();
    const { signal } = (this.opening = new AbortController());
    return this.message.around(async () => {
      this.#empty();
      find("speech-words").textContent = "Encoding.";
      try {
        await this.#check(file);
        await this.#show(file, signal);
        find("speech-words").textContent = "";
      } catch (error) {
        if (error.name !== "AbortError") find("speech-words").textContent = "";
        throw error;
      }
    });
  }

  async #check(file) {
    const { bytes, seconds: most } = this.model.limits ?? {};
    const seconds = await secondsOf(file);
    if (most && seconds > most) {
      const length = seconds >= 90 ? plural(Math.round(seconds / 60), "minute") : plural(Math.round(seconds), "second");
      throw new Sentence(`${file.name} lasts ${length}; this server takes up to ${plural(most, "second")}. Cut out a part and drop that.`);
    }
    if (bytes && file.size > bytes) {
      throw tooLarge(file, count(file.size), "bytes", count(bytes), "Cut out a part and drop that.");
    }
  }

  async #show(file, signal) {
    const { model } = this;
    const { rate } = model.signal;
    const found = await postJSON(at(model, "reconstruct"), { body: form(file), signal });
    const original = new Track("Original");
    await original.show(blobOf(found.original), rate);
    const made = new Track("Reconstruction");
    await made.show(blobOf(found.reconstruction), rate);
    const times = new Timeline(found, original.seconds);
    original.element.append(times.element);
    original.follow((seconds) => times.at(seconds));
    if (signal.aborted) return;
    for (const track of [original, made]) track.join(find("tracks"));
    announce("The recording is encoded. Its reconstruction is ready to play.");
    const voices = model.can.convert ? (model.voices ?? []) : [];
    for (const [index, voice] of voices.entries()) {
      find("speech-words").textContent = `Speaking as ${voice}, voice ${index + 1} of ${voices.length}.`;
      const blob = await postBlob(at(model, "convert"), { body: form(file, { voice }), signal });
      const track = new Track(`Voice ${voice}`);
      await track.show(blob, rate);
      if (signal.aborted) return;
      track.join(find("voices"));
    }
  }
}

/** A sound with its player, its wave and its spectrogram. */
class Track {
  constructor(title) {
    this.player = make("audio", { controls: true, preload: "auto", "aria-label": title });
    this.wave = make("canvas", { class: "wave", width: WIDTH, height: 56, role: "img", "aria-label": `Wave of: ${title}` });
    this.spectrum = make("canvas", { class: "spectrum", role: "img", "aria-label": `Spectrogram of: ${title}` });
    this.line = make("i", { class: "playhead", "aria-hidden": "true" });
    const pictures = make("div", { class: "over-time" }, this.wave, this.spectrum, this.line);
    const head = make("header", {}, make("h2", {}, title), this.player);
    this.element = make("section", { class: "card track", "aria-label": title }, head, pictures);
    this.follow((seconds) => (this.line.style.left = `${(100 * seconds) / this.seconds}%`));
    pictures.addEventListener("click", (event) => {
      const box = pictures.getBoundingClientRect();
      this.player.currentTime = ((event.clientX - box.left) / box.width) * this.seconds;
    });
  }

  async show(blob, rate) {
    this.player.src = URL.createObjectURL(blob);
    const samples = await samplesOf(blob, rate);
    this.seconds = samples.length / rate;
    const columns = Math.min(WIDTH, Math.max(64, Math.round(samples.length / 64)));
    show(this.spectrum, spectrogram(samples, columns));
    this.samples = samples;
  }

  /** Put the track on the page; its wave takes its colour from there. */
  join(list) {
    list.append(this.element);
    drawWave(this.wave, this.samples);
  }

  /** Call `moved(seconds)` while the sound plays. */
  follow(moved) {
    const step = () => {
      moved(this.player.currentTime);
      if (!this.player.paused) requestAnimationFrame(step);
    };
    for (const name of ["play", "seeked", "pause"]) this.player.addEventListener(name, step);
  }
}

/** Codes and phones below the original. */
class Timeline {
  constructor({ codes, code_rate: rate, phones, phones_right: right }, seconds) {
    Object.assign(this, { seconds, phones: [] });
    const { shape, data } = codes.levels.at(-1);
    const [books, length] = [shape[0], shape.at(-1)];
    const label = `${plural(length, "code")} of the recording, by colour`;
    const canvas = make("canvas", { class: "codes-line", role: "img", "aria-label": label });
    drawCodes(canvas, { height: books, width: length, codes: data, cell: 1 });
    const each = rate ? 1 / rate : seconds / length;
    canvas.style.width = `${(100 * length * each) / seconds}%`;
    const rates = `${plural(length * books, "code")}, ${(1 / each).toFixed(0)} per second. Point at one to see it.`;
    this.words = make("p", { class: "quiet now" }, rates);
    canvas.addEventListener("pointermove", (event) => {
      const index = cellAt(canvas, event, books, length);
      if (index === null) return;
      this.words.textContent = `Code ${data[index]} at ${((index % length) * each).toFixed(2)} s`;
    });
    this.element = make("div", { class: "over-time" }, make("h3", {}, "Codes"), canvas, this.words);
    if (phones?.length) this.#phones(phones, right);
  }

  #phones(phones, right) {
    const row = make("ol", { class: "phones", "aria-label": "Phones along time" });
    this.phones = phones.map(({ start, end, phone }) => {
      const item = make("li", {}, phone);
      item.style.left = `${(100 * start) / this.seconds}%`;
      item.style.width = `${(100 * (end - start)) / this.seconds}%`;
      row.append(item);
      return { start, end, item };
    });
    const share = right === null ? "" : ` In held-out recordings, ${Math.round(100 * right)} % of such guesses are right.`;
    const words = `Guessed from the codes, as they go with phones in the training data.${share}`;
    this.element.append(make("h3", {}, "Phones"), row, make("p", { class: "quiet" }, words));
  }

  at(seconds) {
    for (const { start, end, item } of this.phones) item.classList.toggle("now", seconds >= start && seconds < end);
  }
}
