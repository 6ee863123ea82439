// Drawn codes, shown no faster than one can watch.

const SLOW = 3;

/** Codes that arrive at once, shown over a few seconds. */
export class Slowly {
  constructor(all, shown, signal) {
    Object.assign(this, { all, shown, signal, waiting: [], running: null });
  }

  /** Add the codes of an event: one level, some places, every sample. */
  add({ level, positions, codes }) {
    positions.forEach((place, order) => this.waiting.push({ level, place, codes: codes.map((sample) => sample[order]) }));
    this.running ??= this.#run();
  }

  async #run() {
    let before = performance.now();
    let due = 0;
    while (this.waiting.length && !this.signal.aborted) {
      const now = await new Promise(requestAnimationFrame);
      due += (Math.max(0, now - before) / 1000 / SLOW) * this.all;
      before = Math.max(before, now);
      while (due >= 1 && this.waiting.length) {
        const { level } = this.waiting[0];
        const same = this.waiting.findIndex((one) => one.level !== level);
        const parts = this.waiting.splice(0, Math.min(Math.floor(due), same < 0 ? this.waiting.length : same));
        due -= parts.length;
        const codes = parts[0].codes.map((_, sample) => parts.map((one) => one.codes[sample]));
        this.shown({ level, positions: parts.map(({ place }) => place), codes });
      }
    }
    this.running = null;
  }

  /** Wait until all is shown. */
  async end() {
    await this.running;
    if (this.signal.aborted) throw new DOMException("stopped", "AbortError");
  }
}
