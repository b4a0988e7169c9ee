/** Units a second between the first and the last of some marks, `at` in ms; 0 while unknown. */
export function rateOf(marks: readonly { at: number; done: number }[]): number {
  const [first, last] = [marks[0], marks.at(-1)];
  return first && last && last.at > first.at ? (1000 * (last.done - first.done)) / (last.at - first.at) : 0;
}
