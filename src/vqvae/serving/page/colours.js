// Colours for numbers and for codes, the same as in the reports of runs.

const ANCHORS = [[0, 0, 0], [48, 18, 96], [148, 38, 112], [228, 92, 60], [248, 184, 64], [255, 255, 224]];
const GOLDEN = 0.61803398875;

/** A number from 0 (black) to 1 (bright yellow) as [r, g, b]. */
export function heat(value) {
  const place = Math.min(Math.max(value, 0), 1) * (ANCHORS.length - 1);
  const low = Math.min(Math.floor(place), ANCHORS.length - 2);
  return ANCHORS[low].map((channel, index) => Math.round(channel + (ANCHORS[low + 1][index] - channel) * (place - low)));
}

/** The colour of a code as [r, g, b]. Neighbouring numbers get distant hues. */
export function codeColour(code) {
  return fromHSV((code * GOLDEN) % 1, [0.75, 0.5, 0.9][code % 3], [0.95, 0.8, 0.6][Math.floor(code / 3) % 3]);
}

function fromHSV(hue, saturation, value) {
  const channel = (shift) => {
    const place = (shift + hue * 6) % 6;
    return Math.round(255 * (value - value * saturation * Math.max(0, Math.min(place, 4 - place, 1))));
  };
  return [channel(5), channel(3), channel(1)];
}

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;
