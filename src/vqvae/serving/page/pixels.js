// Pictures on canvases: data URLs to pixels, differences, and files as a model takes them.

import { Sentence, count } from "./dom.js";

/** The bytes of a data URL, with its media type. */
export function blobOf(url) {
  const [head, body] = url.split(",", 2);
  const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5).split(";")[0] });
}

/** A picture (blob, or data URL) as ImageData. */
export async function pixelsOf(source) {
  const bitmap = await createImageBitmap(typeof source === "string" ? blobOf(source) : source);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Show pixels on a canvas of their size; the style sheet stretches it. */
export function show(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.classList.toggle("smooth", pixels.width > 512);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Pixels from a function (index) → [r, g, b]. */
export function paint(width, height, colour) {
  const pixels = new ImageData(width, height);
  for (let index = 0; index < width * height; index++) pixels.data.set([...colour(index), 255], index * 4);
  return pixels;
}

/** Mean absolute differences of the colours, from 0 to 255, and the PSNR in dB. */
export function differences(one, other) {
  const found = new Float32Array(one.width * one.height);
  let squares = 0;
  for (let index = 0; index < found.length; index++) {
    for (let channel = 0; channel < 3; channel++) {
      const apart = one.data[index * 4 + channel] - other.data[index * 4 + channel];
      found[index] += Math.abs(apart) / 3;
      squares += apart * apart;
    }
  }
  return { found, psnr: 10 * Math.log10((255 * 255 * 3 * found.length) / squares) };
}

/** A canvas as a PNG file. */
function png(canvas, name) {
  return canvas.convertToBlob({ type: "image/png" }).then((blob) => new File([blob], name, { type: "image/png" }));
}

/** The error for a file above a limit. */
export function tooLarge(file, has, unit, most, advice) {
  return new Sentence(`${file.name} has ${has} ${unit}; this server takes up to ${most}. ${advice}`);
}

/**
 * A picture file as the model takes it.
 *
 * `size` is [height, width]: the picture is scaled and cropped to it. Null keeps the size. What the browser cannot read goes to the server
 * as it is: it reads more formats, and says what is wrong with the others.
 */
export async function prepared(file, size, limits) {
  if (limits?.bytes && file.size > limits.bytes) {
    throw tooLarge(file, count(file.size), "bytes", count(limits.bytes), "Choose a smaller file.");
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file;
  }
  const { width, height } = bitmap;
  if (size === null || (size[0] === height && size[1] === width)) {
    bitmap.close();
    if (limits?.pixels && width * height > limits.pixels) {
      throw tooLarge(file, count(width * height), "pixels", count(limits.pixels), "Choose the size of the training, or a smaller picture.");
    }
    return file;
  }
  const canvas = new OffscreenCanvas(size[1], size[0]);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const scale = Math.max(size[1] / width, size[0] / height);
  context.drawImage(bitmap, (size[1] - width * scale) / 2, (size[0] - height * scale) / 2, width * scale, height * scale);
  bitmap.close();
  return png(canvas, file.name.replace(/\.\w+$/, "") + ".png");
}
