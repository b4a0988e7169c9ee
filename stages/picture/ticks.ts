/** Axes of a chart: where a value lies and which values are worth a label. */

export interface Axis {
  /** Place of a value, from 0 (the axis' beginning) to 1. */
  at: (value: number) => number;
  ticks: number[];
}

/**
 * An axis that shows all of `values` (finite; a logarithmic one positive). A linear axis starts at zero where that costs
 * less than half of its length; `fromZero` forces it. A logarithmic one that spans less than a decade has linear ticks.
 */
export function axisOf(values: readonly number[], { log = false, fromZero = false, tight = false } = {}): Axis {
  let [low, high] = values.length > 0 ? [least(values), -least(values.map((value) => -value))] : [log ? 1 : 0, log ? 10 : 1];
  if (log) {
    if (!tight || low === high) [low, high] = [low / 1.08, high * 1.08];
    const [from, to] = [Math.log10(low), Math.log10(high)];
    const ticks = to - from < 1 ? evenTicks(low, high) : decadeTicks(low, high);
    return { at: (value) => (Math.log10(value) - from) / (to - from), ticks };
  }
  if (fromZero || (low > 0 && low < 0.5 * high)) low = Math.min(0, low);
  const margin = (high - low || Math.abs(high) || 1) * 0.04;
  if (!tight || low === high) high += margin;
  if (low !== 0 && (!tight || low === high)) low -= margin;
  return { at: (value) => (value - low) / (high - low), ticks: evenTicks(low, high) };
}

const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b));

/** Four to ten multiples of 1, 2 or 5 times a power of ten. */
export function evenTicks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough * 0.999) as number);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Powers of ten; with 2 and 5 times each where there are fewer than three decades, every second where there are many. */
function decadeTicks(low: number, high: number): number[] {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const times = to - from <= 3 ? [1, 2, 5] : [1];
  const every = Math.ceil((to - from) / 8);
  const all = Array.from({ length: to - from + 1 }, (_, i) => from + i).filter((power) => power % every === 0);
  return all.flatMap((power) => times.map((time) => Number((time * 10 ** power).toPrecision(3)))).filter((v) => v >= low && v <= high);
}
