/**
 * npm run test:reports [-- WORD...]: tries everything in ../shared/data/reports and attacks (or --data FOLDER), a line each, and
 * exits 1 where something went wrong. WORDs choose the cases whose names hold one of them.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { picture } from "../fixtures/png.ts";
import { attacks } from "./attacks.ts";
import type { Case } from "./case.ts";
import { reports } from "./reports.ts";
import { trialIn, undone } from "./trial.ts";

const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { data: { type: "string", default: fileURLToPath(new URL("../../../shared/data", import.meta.url)) } },
});
const data = resolve(values.data);
for (const part of ["reports", "attacks"]) {
  if (existsSync(join(data, part, "README.md"))) continue;
  console.error(`Cannot try the reports: there is no ${join(data, part)}. Name the folder that holds reports/ and attacks/ with --data.`);
  process.exit(2);
}

const place = mkdtempSync(join(tmpdir(), "onestep-reports-"));
process.on("exit", () => rmSync(place, { recursive: true, force: true }));
const base = join(place, "base");
let isMade = false;

const chosen = [...reports, ...attacks].filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
let failed = 0;
for (const [i, { name, on, attempt }] of chosen.entries()) {
  const folder = join(place, String(i));
  mkdirSync(folder);
  const started = performance.now();
  const faults = await prepared(folder, on)
    .then(() => attempt(trialIn(folder, data)))
    .catch((error: Error) => [error.stack ?? String(error)]);
  rmSync(folder, { recursive: true, force: true });
  if (faults.length > 0) failed++;
  console.log(`${faults.length === 0 ? "right" : "WRONG"} ${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${name}`);
  for (const fault of faults) console.log(`                  ${fault}`);
}
console.log(`\n${chosen.length - failed} right, ${failed} wrong`);
process.exit(failed > 0 || chosen.length === 0 ? 1 : 0);

/** Puts in the folder what the case builds on; made once. */
async function prepared(folder: string, on: Case["on"]): Promise<void> {
  if (on === undefined) return;
  if (!isMade) {
    mkdirSync(join(base, "pics"), { recursive: true });
    for (let i = 0; i < 24; i++) writeFileSync(join(base, "pics", `${i}.png`), picture(i));
    const { p } = trialIn(base, data);
    for (const args of [
      ["ingest", "pics", "--out", "latents"],
      ["pretrain", "teacher", "--data", "latents", "--out", "teacher", "--set", "network.condition=none"],
      ["simulate", "--teacher", "teacher", "--out", "triples"],
    ]) {
      const faults = undone(await p(args));
      if (faults.length > 0) throw new Error(`pipeline ${args.join(" ")}: ${faults.join("; ")}`);
    }
    isMade = true;
  }
  for (const part of on === "pictures" ? ["pics"] : ["pics", "latents", "teacher", "triples"]) {
    cpSync(join(base, part), join(folder, part), { recursive: true });
  }
}
