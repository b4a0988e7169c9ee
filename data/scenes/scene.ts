import { uniforms } from "../../schemas/numbers/philox.ts";
import { type Attributes, type Count, type Kind, orderCount, phrase } from "./attributes.ts";
import { deal } from "./deck.ts";

/** One picture, before it is drawn: its attributes, and the variation that its caption leaves open. */
export interface Scene extends Attributes {
  /** Which of the caption's word orders. */
  order: number;
  layout: Layout;
}

/** Positions in a 64 x 64 picture, x to the right and y down. */
export interface Layout {
  /** Height of the horizon. */
  horizon: number;
  /** Subjects from left to right: the middle of the foot, and the width. */
  subjects: { x: number; y: number; width: number }[];
  /** All subjects look to the left instead of to the right. */
  mirrored: boolean;
  /** Sun or moon. */
  light: { x: number; y: number };
  /** Twelve numbers in [0, 1) that shape hills, clouds and small decoration. */
  whims: number[];
}

/** Where subjects stand and how wide they are, so that three stay apart even when drawn largest and nearest. */
export const places: Record<Count, { xs: number[]; wander: number; width: number }> = {
  1: { xs: [32], wander: 8, width: 33 },
  2: { xs: [17.5, 46.5], wander: 1.2, width: 22.5 },
  3: { xs: [11, 32, 53], wander: 0.6, width: 16.5 },
};

/** The height at which subjects stand, on the average; balloons and rockets hover, and more of them higher. */
export function footOf({ kind, count }: { kind: Kind; count: Count }): number {
  return hovers(kind) ? 50 - 3 * count : 57 - count;
}

/** Whether subjects of that kind hang in the air. */
export function hovers(kind: Kind): boolean {
  return kind === "balloon" || kind === "rocket";
}

/**
 * Scene `index` of the endless set that `seed` names: a pure function of both. How attributes are balanced is
 * told in deck.ts.
 */
export function scene({ seed, index }: { seed: number | bigint; index: number }): Scene {
  const attributes = deal({ seed, index });
  const draws = uniforms({ seed, stream: "scenes.layout", offset: index * DRAWS, length: DRAWS });
  let used = 0;
  const next = () => draws[used++] as number;
  const between = (low: number, high: number) => low + (high - low) * next();

  const order = Math.floor(next() * orderCount);
  const mirrored = next() < 0.5;
  const horizon = between(37, 41);
  const light = lightPlace(attributes, between(0, 1), between(0, 1), horizon);
  const whims = Array.from({ length: 12 }, next);
  const { xs, wander, width } = places[attributes.count];
  const scale = between(0.94, 1.06);
  const foot = footOf(attributes);
  const sway = hovers(attributes.kind) ? 2.5 : 1.5;
  const subjects = xs.map((x) => ({
    x: x + wander * between(-1, 1),
    y: foot + sway * between(-1, 1),
    width: width * scale,
  }));
  return { ...attributes, order, layout: { horizon, subjects, mirrored, light, whims } };
}

/** The caption of a scene, e.g. "at sunset, two red boats on the sea". */
export function captionOf(scene: Scene): string {
  return phrase(scene, scene.order);
}

const DRAWS = 24;

/** By day and night high in a corner; at dawn and sunset on the horizon. */
function lightPlace({ time }: Attributes, across: number, up: number, horizon: number): Layout["light"] {
  const low = time === "dawn" || time === "sunset";
  if (low) return { x: 8 + 48 * across, y: horizon - 3 - 4 * up };
  return { x: across < 0.5 ? 7 + 12 * across : 45 + 12 * across, y: 8 + 4 * up };
}
