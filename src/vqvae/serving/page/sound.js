// Sound: its length, its samples, a WAV file of it, and its pictures.

import { heat } from "./colours.js";
import { paint } from "./pixels.js";

const WINDOW = 512;
const FLOOR = 80;

/** Seconds of a sound file, from its header; null if the browser cannot tell. */
export function secondsOf(file) {
  return new Promise((resolve) => {
    const url = URL.createObjectURL(file);
    const sound = new Audio();
    const done = (seconds) => {
      URL.revokeObjectURL(url);
      sound.removeAttribute("src");
      resolve(Number.isFinite(seconds) ? seconds : null);
    };
    sound.addEventListener("loadedmetadata", () => done(sound.duration), { once: true });
    sound.addEventListener("error", () => done(null), { once: true });
    sound.preload = "metadata";
    sound.src = url;
  });
}

/** The samples of a sound (blob), mono, at a rate in Hz. */
export async function samplesOf(blob, rate) {
  const context = new OfflineAudioContext(1, 1, rate);
  const buffer = await context.decodeAudioData(await blob.arrayBuffer());
  const mixed = buffer.getChannelData(0).slice();
  for (let channel = 1; channel < buffer.numberOfChannels; channel++) {
    buffer.getChannelData(channel).forEach((value, index) => (mixed[index] += value));
  }
  return buffer.numberOfChannels > 1 ? mixed.map((value) => value / buffer.numberOfChannels) : mixed;
}

/** Samples from -1 to 1 as a WAV file of 16 bits. */
export function wav(samples, rate, name) {
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (at, letters) => [...letters].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + samples.length * 2, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, samples.length * 2, true);
  samples.forEach((value, index) => view.setInt16(44 + index * 2, Math.round(Math.min(Math.max(value, -1), 1) * 32767), true));
  return new File([view], name, { type: "audio/wav" });
}

/** Draw the loudness over time on a canvas, in the colour of its text. */
export function drawWave(canvas, samples) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(canvas).color;
  for (let column = 0; column < width; column++) {
    const from = Math.floor((column * samples.length) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * samples.length) / width));
    let [low, high] = [0, 0];
    for (let index = from; index < to && index < samples.length; index++) {
      low = Math.min(low, samples[index]);
      high = Math.max(high, samples[index]);
    }
    const top = (height / 2) * (1 - high);
    context.fillRect(column, top, 1, Math.max(1, (height / 2) * (1 - low) - top));
  }
}

/** The spectrogram as pixels: time to the right, frequency up to half the rate, in dB below the loudest. */
export function spectrogram(samples, width) {
  const bands = WINDOW / 2;
  const hop = Math.max(1, (samples.length - WINDOW) / Math.max(1, width - 1));
  const powers = new Float32Array(width * bands);
  const shape = Float32Array.from({ length: WINDOW }, (_, index) => 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / WINDOW));
  let most = 1e-10;
  for (let column = 0; column < width; column++) {
    const from = Math.round(column * hop);
    const real = Float32Array.from(shape, (value, index) => value * (samples[from + index] ?? 0));
    const imaginary = new Float32Array(WINDOW);
    transform(real, imaginary);
    for (let band = 0; band < bands; band++) {
      const power = real[band] ** 2 + imaginary[band] ** 2;
      powers[band * width + column] = power;
      most = Math.max(most, power);
    }
  }
  return paint(width, bands, (index) => {
    const band = bands - 1 - Math.floor(index / width);
    return heat(1 + (10 * Math.log10(powers[band * width + (index % width)] / most + 1e-12)) / FLOOR);
  });
}

/** The fast Fourier transform in place: radix 2, decimation in time (Cooley and Tukey, 1965). */
function transform(real, imaginary) {
  const length = real.length;
  for (let index = 1, mirrored = 0; index < length; index++) {
    let bit = length >> 1;
    for (; mirrored & bit; bit >>= 1) mirrored ^= bit;
    mirrored |= bit;
    if (index < mirrored) {
      [real[index], real[mirrored]] = [real[mirrored], real[index]];
      [imaginary[index], imaginary[mirrored]] = [imaginary[mirrored], imaginary[index]];
    }
  }
  for (let half = 1; half < length; half *= 2) {
    for (let part = 0; part < half; part++) {
      const angle = (-Math.PI * part) / half;
      const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
      for (let even = part; even < length; even += 2 * half) {
        const odd = even + half;
        const turned = [real[odd] * cosine - imaginary[odd] * sine, real[odd] * sine + imaginary[odd] * cosine];
        [real[odd], imaginary[odd]] = [real[even] - turned[0], imaginary[even] - turned[1]];
        real[even] += turned[0];
        imaginary[even] += turned[1];
      }
    }
  }
}
