/** The commands that show what a store or run holds: in the terminal, in files, and to a browser. */
import type { Command } from "../command.mts";
import { orPipeline } from "../flags.mts";

export const inspect: Command = {
  name: "inspect",
  summary: "show what a store, run or published pipeline holds: facts, rows, pictures, SQL, provenance, differences, a report",
  positionals: [
    {
      name: "PATH",
      about: "a latent store, triple store, run, pipeline of diffusers, or Stable Diffusion in one file",
      input: orPipeline,
      bucket: "store",
    },
  ],
  flags: {
    quick: { about: "read the ends of the shards alone: no duplicates, no worst rows" },
    rows: { value: "N", about: "print the first N rows", whole: true },
    grid: { value: "FILE.png", about: "draw rows: of a triple noise, kept states and image in a line", output: { file: [".png"] } },
    where: { value: "CONDITION", about: "the rows to print, draw or report, as in \"label = 3 and caption like '%cat%'\"" },
    limit: { value: "N", about: "pictures in the grid or report; 64 or 200 unless told", whole: true },
    sql: { value: "SELECT", about: "ask DuckDB (npm install @duckdb/node-api); the rows are the view triples or latents" },
    why: { value: "ID", about: "what made this row: image, condition, teacher, solver, seed, versions" },
    redo: { value: "ID", about: "compute this triple again and print the largest difference" },
    teacher: { value: "RUN", about: "why, redo: the teacher; looked for beside the store otherwise", input: orPipeline },
    conditions: {
      value: "LATENTS",
      about: "why: the store that lent the conditions; looked for beside the store otherwise",
      input: "folder",
      bucket: "store",
    },
    diff: { value: "STORE", about: "compare settings, rows and channels with another store", input: "folder", bucket: "store" },
    html: { value: "FILE.html", about: "write a report as one page that needs nothing else", output: { file: [".html", ".htm"] } },
    parity: { value: "GOLDEN.safetensors", about: "of a pipeline of diffusers: compute golden vectors again and compare" },
  },
  looks: true,
  example: "pipeline inspect triples --grid triples.png --where label=3 --limit 16",
  start: async ({ positionals, flags, ...rest }) => {
    const { rowId, inspect } = await import("../../pipelines/inspect.ts");
    const { quick, rows, grid, where, limit, sql, why, redo, teacher, conditions, diff, html, parity } = flags;
    const whole = (text?: string) => (text === undefined ? undefined : Number(text));
    await inspect({
      path: positionals[0]!,
      ...{ quick: quick !== undefined, rows: whole(rows), limit: whole(limit), why: rowId(why), redo: rowId(redo) },
      ...{ grid, where, sql, teacher, conditions, diff, html, parity },
      ...rest,
    });
  },
};

export const serve: Command = {
  name: "serve",
  summary: "show a site, student, run or store to this machine's browser",
  positionals: [
    {
      name: "PATH",
      about: "a site of `export --format web`, a student, a run or its run.html, or a store",
      input: { orFile: /\.html$/ },
      bucket: "store",
    },
  ],
  flags: { port: { value: "N", about: "the port; any free one unless told", whole: true, most: 65_535 } },
  looks: true,
  example: "pipeline serve site --port 8080",
  start: async ({ positionals, flags, settings, context }) =>
    (await import("../../pipelines/serve.ts")).serve({ path: positionals[0]!, port: Number(flags.port ?? 0), settings, context }),
};
