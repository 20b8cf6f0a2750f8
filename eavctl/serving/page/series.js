// How a class is drawn everywhere: a colour of the style sheet, and a line that differs without colour too.

const COLOURS = 8; // --series-1 to --series-8
const DASHES = ["", "7 5", "1.5 5", "9 5 1.5 5", "9 4.5 1.5 4.5 1.5 4.5", "3.5 4.5", "1.5 9", "14 5"];

/** @param {number} i position of the class @returns {{colour: string, dash: string}} */
export function lookOf(i) {
  return {
    colour: `var(--series-${(i % COLOURS) + 1})`,
    // classes beyond the eighth repeat the colours, but not with the same line
    dash: DASHES[(i + Math.floor(i / COLOURS)) % DASHES.length],
  };
}
