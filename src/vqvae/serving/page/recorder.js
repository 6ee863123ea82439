// The microphone: a recording as a WAV file at the model's rate.

import { Sentence } from "./dom.js";
import { samplesOf, wav } from "./sound.js";

export class Recorder {
  /** Ask for the microphone and begin. `ended` is called when the time is up. */
  static async start(rate, seconds, ended) {
    if (!navigator.mediaDevices) {
      throw new Sentence("The browser gives the microphone only to pages of this machine or over HTTPS. Drop a recording instead.");
    }
    let source;
    try {
      source = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      const missing = error.name === "NotFoundError";
      throw new Sentence(missing ? "There is no microphone. Connect one, or drop a recording."
        : "The browser does not give the microphone to this page. Allow it in the address bar, or drop a recording.");
    }
    return new Recorder(source, rate, seconds, ended);
  }

  constructor(source, rate, seconds, ended) {
    Object.assign(this, { source, rate, parts: [] });
    this.machine = new MediaRecorder(source);
    this.machine.addEventListener("dataavailable", ({ data }) => this.parts.push(data));
    this.machine.start();
    this.timer = setTimeout(ended, seconds * 1000);
  }

  /** End the recording; a WAV file, or null if it holds nothing. */
  async stop() {
    clearTimeout(this.timer);
    const stopped = new Promise((resolve) => this.machine.addEventListener("stop", resolve, { once: true }));
    this.machine.stop();
    await stopped;
    for (const track of this.source.getTracks()) track.stop();
    const blob = new Blob(this.parts, { type: this.machine.mimeType });
    if (blob.size === 0) throw new Sentence("Nothing was recorded. Keep recording for a second or more.");
    return wav(await samplesOf(blob, this.rate), this.rate, "recording.wav");
  }
}
