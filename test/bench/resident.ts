/** How much memory a process takes from step to step. */

/**
 * Runs `warmup` + `steps` steps and fits a line through the resident memory of the later ones by Theil and Sen's median
 * of slopes, which a single jump of the allocator does not move: `slope` in bytes a step, between the quartiles `low`
 * and `high` of the slopes; `resident`, bytes at the end. Collects garbage before it looks, where node has --expose-gc.
 */
export async function residentGrowth(options: {
  steps: number;
  warmup: number;
  run: (step: number) => Promise<unknown>;
}): Promise<{ slope: number; low: number; high: number; resident: number }> {
  const { steps, warmup, run } = options;
  const every = Math.max(1, Math.floor(steps / 40));
  const points: [number, number][] = [];
  for (let step = 0; step < warmup + steps; step++) {
    await run(step);
    if (step < warmup || (step - warmup) % every !== 0) continue;
    globalThis.gc?.();
    points.push([step, process.memoryUsage.rss()]);
  }
  const slopes = points.flatMap(([x, y], i) => points.slice(i + 1).map(([x2, y2]) => (y2 - y) / (x2 - x)));
  slopes.sort((a, b) => a - b);
  const at = (share: number): number => slopes[Math.floor(share * (slopes.length - 1))] ?? 0;
  return { slope: at(0.5), low: at(0.25), high: at(0.75), resident: process.memoryUsage.rss() };
}
