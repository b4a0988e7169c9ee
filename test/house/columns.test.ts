/** No line is wider than the formatter's: it does not break strings and comments, so people do. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";

const test = suite("columns");
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const kinds = ["*.ts", "*.mts", "*.mjs", "*.css", "*.py"];
/** Places of the lines that are wider, as FILE:LINE. */
function widerThan(width: number, text: string, file: string): string[] {
  return text.split("\n").flatMap((line, i) => ([...line].length > width ? [`${file}:${i + 1}`] : []));
}

test("no tracked file has a line wider than the formatter's width", () => {
  const { formatter } = JSON.parse(readFileSync(join(root, "biome.json"), "utf8")) as { formatter: { lineWidth: number } };
  const files = execFileSync("git", ["ls-files", ...kinds], { cwd: root, encoding: "utf8" })
    .trim()
    .split("\n");
  assert.ok(files.length > 300, `only ${files.length} files were found`);
  const wide = files.flatMap((file) => widerThan(formatter.lineWidth, readFileSync(join(root, file), "utf8"), file));
  assert.equal(wide, []);
});

test("counts letters, not bytes", () => {
  assert.equal(widerThan(4, "abcd\nabcde\nнаут\n🐈🐈🐈🐈", "f"), ["f:2"]);
});

test.run();
