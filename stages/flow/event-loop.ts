import { monitorEventLoopDelay } from "node:perf_hooks";

/**
 * Measures how long the control thread keeps others waiting. `p99` answers in milliseconds above the timer's own period.
 *
 * @example
 * import { measureEventLoop } from "./event-loop.ts";
 * const { p99 } = measureEventLoop();
 * await new Promise((resolve) => setTimeout(resolve, 20));
 * assert.ok(p99() >= 0);
 */
export function measureEventLoop(): { p99: () => number } {
  const period = 5;
  const delays = monitorEventLoopDelay({ resolution: period });
  delays.enable();
  return { p99: () => Math.max(0, delays.percentile(99) / 1e6 - period) };
}
