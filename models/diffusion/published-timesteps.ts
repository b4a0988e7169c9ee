/** Which training steps published schedulers visit, as numpy rounds them (Lin et al. 2024, table 2). Most are whole numbers. */

export type Spacing = "linspace" | "leading" | "trailing";

/** `count` numbers from start to end in float64, as numpy.linspace has them. */
export function linspace(start: number, end: number, count: number): number[] {
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i > 0 && i === count - 1 ? end : start + (count > 1 ? i * step : 0)));
}

/** The nearest whole number, of two the even one. */
export function roundEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/**
 * `count` training steps of `trained`, noisiest first: "linspace" from the last to the first; "leading" at whole distances up from
 * `offset`; "trailing" at even distances down from the last, rounded. Some counts give published "trailing" one step more by a
 * rounding error, which asks for a time of -1; it is left out here.
 */
export function spaced({
  spacing,
  count,
  trained,
  offset,
}: {
  spacing: Spacing;
  count: number;
  trained: number;
  offset: number;
}): number[] {
  if (spacing === "linspace") return linspace(0, trained - 1, count).reverse();
  if (spacing === "leading") {
    const distance = Math.floor(trained / count);
    return Array.from({ length: count }, (_, i) => (count - 1 - i) * distance + offset);
  }
  return trailing({ count, trained, last: trained });
}

/** Training steps down from `last` at the distance that `count` of all `trained` would have. */
export function trailing({ count, trained, last }: { count: number; trained: number; last: number }): number[] {
  const step = last - trained / count - last;
  const visited = Math.min(count, Math.ceil(-last / step));
  return Array.from({ length: visited }, (_, i) => roundEven(last + i * step) - 1);
}

/**
 * The steps of PLMS (Liu et al. 2022): those of `ascending` downwards, the last but one twice, since the first step is taken in two
 * halves.
 */
export function multistep(ascending: readonly number[]): number[] {
  return [...ascending.slice(0, -1), ...ascending.slice(-2, -1), ...ascending.slice(-1)].reverse();
}

/** The steps of PNDM with Runge-Kutta's four stages for each of the first three (Liu et al. 2022, algorithm 2); `distance` apart. */
export function rungeKutta(ascending: readonly number[], distance: number): number[] {
  const halves = ascending.slice(-4).flatMap((time) => [time, time + Math.floor(distance / 2)]);
  const stages = halves.slice(0, -1).flatMap((time) => [time, time]);
  return [...stages.slice(1, -1).reverse(), ...ascending.slice(0, -3).reverse()];
}
