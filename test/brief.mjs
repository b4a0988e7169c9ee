/** What failed in a file of tests, short enough to stand at the end of a run: a log is often shown from its end, and cut. */

const MOST_LINES = 30;
const MOST_CHARACTERS = 300;

/** Of uvu's and the harness's report of a failure: its title, and how many lines that say something follow it. */
const TITLE = /^\s*FAIL /;
const AFTER = 5;

/** What native code says before it ends the process, and what stands before the stack of an error that nobody caught. */
const LAST_WORDS =
  /fatal|terminate called|what\(\):|assertion|check failed|out of memory|cannot allocate|panic|^\s*(Uncaught )?\w*Error\b/i;

/** Lines without news: dots of progress, counts, frames of a stack. */
const EMPTY = /^\s*$|^\s+at |^\s*\d+: 0x|^\s*(Total|Passed|Skipped|Duration): |^ [^•]*[•✘ ]+\(\d+ \/ \d+\)$|^-+ .* -+$/;

/**
 * A file that failed, by its name, what its end was where it did not end by itself (`trouble`), and of its output the failures;
 * where it reports none, what it said last.
 */
export function brief({ name, output, trouble }) {
  const lines = output.replace(/\u001b\[[\d;]*m/g, "").split("\n");
  const told = [];
  for (let at = 0, left = 0; at < lines.length; at++) {
    if (TITLE.test(lines[at])) left = 1 + AFTER;
    if (left === 0 || EMPTY.test(lines[at])) continue;
    told.push(lines[at].trim());
    left--;
  }
  if (told.length === 0) {
    const full = lines.filter((line) => !EMPTY.test(line)).map((line) => line.trim());
    const last = full.slice(-10);
    told.push(...full.slice(0, -10).filter((line) => LAST_WORDS.test(line)), ...last);
  }
  const over = told.length - MOST_LINES;
  const shown = over > 0 ? [...told.slice(0, MOST_LINES), `and ${over} lines more, above`] : told;
  const cut = shown.map((line) => (line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)} ...` : line));
  return [trouble ? `${name} ${trouble}` : name, ...cut.map((line) => `    ${line}`)].join("\n");
}
