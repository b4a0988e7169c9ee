/** Where words on a chart stand: clear of all that is drawn, and of each other. Pure geometry, in pixels, y downwards. */

/** A rectangle. */
export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** A straight line from one point to another: [x, y, x, y]. */
export type Stroke = readonly [number, number, number, number];

/** What is drawn already. */
export interface Drawn {
  strokes: readonly Stroke[];
  boxes: readonly Box[];
}

/**
 * The first of `candidates` that lies within `frame` and touches nothing that is drawn; undefined where none does.
 *
 * @example
 * const frame = { left: 0, right: 100, top: 0, bottom: 50 };
 * const [low, high] = [30, 10].map((top) => ({ left: 10, right: 40, top, bottom: top + 10 }));
 * clearBox([low!, high!], { strokes: [[0, 35, 100, 35]], boxes: [] }, frame); // high: the line runs through the other
 */
export function clearBox<B extends Box>(candidates: readonly B[], { strokes, boxes }: Drawn, frame: Box): B | undefined {
  return candidates.find(
    (box) =>
      box.left >= frame.left &&
      box.right <= frame.right &&
      box.top >= frame.top &&
      box.bottom <= frame.bottom &&
      !boxes.some((other) => other.left < box.right && other.right > box.left && other.top < box.bottom && other.bottom > box.top) &&
      !strokes.some((stroke) => crosses(stroke, box)),
  );
}

/** Whether some of a straight line lies within a box: what is left of it between the box's sides (Liang and Barsky). */
function crosses([x0, y0, x1, y1]: Stroke, { left, right, top, bottom }: Box): boolean {
  let [from, to] = [0, 1];
  for (const [start, along, least, most] of [
    [x0, x1 - x0, left, right],
    [y0, y1 - y0, top, bottom],
  ] as const) {
    if (along === 0 && (start <= least || start >= most)) return false;
    if (along === 0) continue;
    const [a, b] = [(least - start) / along, (most - start) / along];
    [from, to] = [Math.max(from, Math.min(a, b)), Math.min(to, Math.max(a, b))];
  }
  return from < to || (from === to && x0 === x1 && y0 === y1);
}
