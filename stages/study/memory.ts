/** The most memory that this process has while something is at work. */

const EVERY_MS = 250;

/** Looks four times a second from now on; `end` stops that and answers the most it saw, in bytes of resident memory. */
export function watchMemory(): { end: () => number } {
  let most = process.memoryUsage.rss();
  const look = (): void => {
    most = Math.max(most, process.memoryUsage.rss());
  };
  const timer = setInterval(look, EVERY_MS);
  timer.unref();
  return {
    end: () => {
      clearInterval(timer);
      look();
      return most;
    },
  };
}
