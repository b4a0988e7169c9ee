import type { Kind } from "./attributes.ts";
import { flame, ink, type Tones, wood } from "./palette.ts";

/**
 * The eight subjects as SVG, in a box 100 wide whose foot is at (0, 0) and whose top is near y = -110. The group that
 * holds one gives it the ink outline; parts are drawn from back to front.
 */
export const drawings: Record<Kind, (tones: Tones) => string> = {
  boat: ({ main, deep, detail }) =>
    path(wood, "M-3 -112H4V-26H-3Z") +
    path(main, "M5 -108Q52 -76 46 -38H5Z") +
    path(detail, "M-5 -98Q-34 -62 -40 -38H-5Z") +
    path(main, "M-52 -30H52Q48 -4 32 0H-32Q-48 -4 -52 -30Z") +
    fill(deep, "M-44 -12H44Q38 -2 32 0H-32Q-38 -2 -44 -12Z"),

  house: ({ main, deep, detail }) =>
    path(deep, "M20 -100H34V-60H20Z") +
    path(main, "M-38 -58H38V0H-38Z") +
    path(deep, "M-54 -52L0 -104L54 -52Z") +
    path(detail, "M-9 0V-30Q0 -40 9 -30V0Z") +
    fill(detail, "M-30 -44H-16V-28H-30ZM16 -44H30V-28H16Z"),

  tree: ({ main, deep }) =>
    path(wood, "M-8 -40H8L11 0H-11Z") +
    path(main, "M-28 -30C-62 -34 -56 -72 -36 -74C-36 -122 36 -122 36 -74C56 -72 62 -34 28 -30Z") +
    fill(deep, "M-28 -30C-40 -31 -48 -37 -50 -46C-20 -36 24 -38 44 -66C62 -56 54 -34 28 -30Z"),

  balloon: ({ main, deep, detail }) =>
    path("none", "M-14 -34L-9 -14M14 -34L9 -14") +
    path(wood, "M-12 -17H12L9 0H-9Z") +
    path(main, "M0 -118C66 -118 62 -58 16 -30H-16C-62 -58 -66 -118 0 -118Z") +
    fill(detail, "M0 -116C24 -112 24 -56 6 -32H-6C-24 -56 -24 -112 0 -116Z") +
    fill(deep, "M34 -106C62 -90 46 -52 16 -32C36 -58 40 -84 34 -106Z"),

  cat: ({ main, deep, detail }) =>
    line(ink, 21, "M20 -9C52 -4 52 -26 42 -44") +
    line(main, 11, "M20 -9C52 -4 52 -26 42 -44") +
    path(main, "M-27 0C-40 -32 -22 -54 0 -54C22 -54 40 -32 27 0Z") +
    path(main, "M-30 -108L-8 -95H8L30 -108L33 -68C30 -36 -30 -36 -33 -68Z") +
    fill(detail, "M-11 0C-16 -28 16 -28 11 0Z") +
    fill(deep, "M-27 0C-33 -14 -32 -26 -28 -34C-26 -20 -22 -8 -16 0Z") +
    fill(ink, "M-18 -70A5 6 0 1 0 -8 -70A5 6 0 1 0 -18 -70ZM8 -70A5 6 0 1 0 18 -70A5 6 0 1 0 8 -70ZM-5 -59H5L0 -53Z"),

  mushroom: ({ main, deep, detail }) =>
    path("#fff3dc", "M-15 -50Q-14 -20 -20 0H20Q14 -20 15 -50Z") +
    path(main, "M-52 -48C-54 -116 54 -116 52 -48Q0 -34 -52 -48Z") +
    fill(deep, "M-52 -48C-52 -52 -52 -56 -51 -60Q0 -46 51 -60C52 -56 52 -52 52 -48Q0 -34 -52 -48Z") +
    fill(
      detail,
      "M-31 -74A9 9 0 1 0 -13 -74A9 9 0 1 0 -31 -74ZM0 -82A10 9 0 1 0 20 -82A10 9 0 1 0 0 -82ZM26 -66A7 6 0 1 0 40 -66A7 6 0 1 0 26 -66Z",
    ),

  rocket: ({ main, deep, detail }) =>
    path(flame, "M-13 -20Q-13 -6 0 8Q13 -6 13 -20Z") +
    path(deep, "M-20 -58Q-46 -42 -42 -8L-16 -22ZM20 -58Q46 -42 42 -8L16 -22Z") +
    path(main, "M0 -120C36 -92 34 -44 20 -18H-20C-34 -44 -36 -92 0 -120Z") +
    fill(deep, "M14 -106C34 -82 32 -42 20 -18H8C22 -44 24 -80 14 -106Z") +
    path(detail, "M-12 -72A12 12 0 1 0 12 -72A12 12 0 1 0 -12 -72Z"),

  bird: ({ main, deep, detail }) =>
    path("none", "M-8 -12V0M10 -12V0") +
    path(deep, "M-24 -60L-54 -74L-50 -34L-24 -30Z") +
    path(flame, "M34 -72L54 -60L34 -50Z") +
    path(main, "M4 -98C46 -98 46 -10 0 -10C-48 -10 -48 -60 -26 -66C-24 -88 -10 -98 4 -98Z") +
    fill(detail, "M34 -46C34 -16 4 -10 -4 -11C0 -34 18 -46 34 -46Z") +
    path(deep, "M-30 -52Q-8 -60 8 -46Q-2 -22 -26 -26Z") +
    fill(ink, "M13 -74A6 7 0 1 0 25 -74A6 7 0 1 0 13 -74Z"),
};

/** Filled and outlined; the outline comes from the group. */
function path(colour: string, d: string): string {
  return `<path fill="${colour}" d="${d}"/>`;
}

/** Filled only: shade and detail within an outlined part. */
function fill(colour: string, d: string): string {
  return `<path fill="${colour}" stroke="none" d="${d}"/>`;
}

function line(colour: string, width: number, d: string): string {
  return `<path fill="none" stroke="${colour}" stroke-width="${width}" stroke-linecap="round" d="${d}"/>`;
}
