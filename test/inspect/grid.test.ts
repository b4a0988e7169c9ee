import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { commandLine, type Spoken } from "../fixtures/command-line.ts";
import { sharp } from "../../schemas/sharp.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder, healthyRow, length, triples } from "./fixture.ts";

const test = suite("inspect from the command line");

const run = (...args: string[]): Promise<Spoken> => commandLine(["inspect", ...args]);

test("draws the rows that were asked for, noise beside image, value for value", async () => {
  const store = await triples();
  const folder = freshFolder();
  mkdirSync(folder);
  const grid = join(folder, "grid.png");
  const { code, out } = await run(store.folder, "--grid", grid, "--where", "label = 2 and id > 10", "--limit", "3");
  assert.equal([code, /pictures +3/.test(out)], [0, true], out);
  const { data, info } = await sharp(grid).raw().toBuffer({ resolveWithObject: true });
  assert.is(info.width, 2 + 3 * (2 * 17 + 2)); // three pairs of 8 px with a line between, twice enlarged
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * info.channels, (y * info.width + x) * info.channels + 3)];
  const rounded = (values: number[]) => values.map((value) => Math.min(255, Math.max(0, value)));
  for (const [i, id] of [11, 14, 17].entries()) {
    const noise = noiseOf({ seed: 7n, id }, length).subarray(0, 3);
    const left = 2 + i * 36;
    assert.close(at(left, 2), rounded([...noise].map((value) => 127.5 * (1 + value / 3))), 0.51);
    assert.equal(at(left + 16, 2), [255, 255, 255]);
    assert.close(at(left + 18, 2), rounded([...healthyRow(id).latent.subarray(0, 3)].map((value) => 127.5 * (1 + value))), 0.51);
  }
  const none = await run(store.folder, "--grid", join(folder, "none.png"), "--where", "label = 7");
  assert.match(none.out, "no row fits --where");
  assert.ok(!existsSync(join(folder, "none.png")));
});

test("says in one sentence what cannot be, with exit code 2, and finds row 0", async () => {
  const { folder } = await triples();
  const wrong: [string[], RegExp][] = [
    [["--where", "label = 3"], /Cannot use --where alone/],
    [["--limit", "3", "--rows", "2"], /Cannot use --limit alone/],
    [["--why", "1", "--redo", "1"], /Cannot use --why and --redo at once/],
    [["--html", "x.html", "--rows", "2"], /Cannot use --html and --rows at once/],
    [["--why", "x"], /Cannot look up row "x"/],
    [["--why", "40"], /its rows have the ids 0 to 39/],
    [["--port", "8000"], /Unknown flag "--port" of inspect/],
    [["--rows", "2", "--where", "lable = 1"], /did you mean "label"/],
    [["--redo", "1"], /no teacher t0 stands beside it/],
  ];
  for (const [args, message] of wrong) {
    const { code, err } = await run(folder, ...args);
    assert.is(code, 2, args.join(" "));
    assert.match(err, message);
    assert.is(err.trim().split("\n").length, 1);
  }
  const { code, out } = await run(folder, "--why", "0", "--json");
  assert.equal([code, JSON.parse(out).values.id], [0, 0]);
  const missing = await run(folder, "--diff", join(folder, "nowhere"));
  assert.equal([missing.code, /Cannot open the store .*nowhere/.test(missing.err)], [1, true]);
});

test.run();
