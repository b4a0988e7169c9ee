/** SQL over the shards of a store, by DuckDB where the user has it; nothing is written and nothing is fetched. */
import { badUsage, Failure } from "../../schemas/failure.ts";
import { visible } from "../../schemas/visible.ts";
import { isUrl } from "../../store/places/place.ts";
import type { Store } from "../../store/shards/store.ts";
import { withParquetFiles } from "./parquet-files.ts";

/** The rows of an answer by column; tensors as "<4096 bytes>". */
export type Answer = Record<string, string | number>[];

const most = 1000; // rows of an answer

/**
 * Answers one SELECT. The store's rows are the view `triples` (or `latents`), its class names the view `classes`.
 * Throws a Failure where DuckDB is not installed, and a usage failure that carries DuckDB's words on a wrong query.
 */
export async function answerSql(store: Store, sql: string, signal: AbortSignal): Promise<Answer> {
  if (isUrl(store.folder)) {
    throw badUsage(
      `Cannot ask ${store.folder} in SQL: DuckDB is not let out of this machine here. Copy the store: ` +
        `pipeline merge ${store.folder} --out FOLDER`,
    );
  }
  return withParquetFiles(store, signal, (shards) => answerOver(store, shards, sql, signal));
}

/** The same over shards as Parquet files. */
async function answerOver(store: Store, shards: readonly string[], sql: string, signal: AbortSignal): Promise<Answer> {
  const { DuckDBInstance, StatementType, DuckDBBlobValue } = await duckdb();
  if (shards.length === 0) throw new Failure(`Cannot query ${store.folder}: it has no shards yet. Repeat the command that made it.`);
  const instance = await DuckDBInstance.create(":memory:", {
    autoinstall_known_extensions: "false", // it would fetch them
    autoload_known_extensions: "false",
    allow_community_extensions: "false",
  });
  const connection = await instance.connect();
  const interrupt = () => connection.interrupt();
  signal.addEventListener("abort", interrupt, { once: true });
  try {
    const { kind, classes } = store.manifest;
    await connection.run(`create view ${kind} as select * from read_parquet([${shards.map(quoted).join(", ")}])`);
    await connection.run(
      `create table classes as select unnest(range(${classes.length}))::integer as label, ` +
        `unnest([${classes.map(quoted).join(", ")}]::varchar[]) as class`,
    );
    await connection.run(`set allowed_paths = [${shards.map(quoted).join(", ")}]`);
    await connection.run("set enable_external_access = false");
    await connection.run("set lock_configuration = true");
    const statements = await connection.extractStatements(sql).catch(refuse(sql));
    if (statements.count !== 1)
      throw badUsage(`Cannot answer "${shown(sql)}": it holds ${statements.count} statements, expected one SELECT`);
    const statement = await statements.prepare(0).catch(refuse(sql));
    if (statement.statementType !== StatementType.SELECT) {
      throw badUsage(`Cannot answer "${shown(sql)}": inspect only looks, so it takes SELECT alone`);
    }
    const reader = await statement.streamAndReadUntil(most + 1).catch((error) => {
      signal.throwIfAborted();
      return refuse(sql)(error);
    });
    const names = reader.deduplicatedColumnNames();
    const cell = (value: unknown): string | number => {
      if (value instanceof DuckDBBlobValue) return value.bytes.length <= 16 ? value.toString() : `<${value.bytes.length} bytes>`;
      if (typeof value === "bigint" && BigInt(Number(value)) === value) return Number(value);
      return typeof value === "number" ? value : value === null ? "" : String(value);
    };
    const rows = reader.getRows().slice(0, most + 1);
    if (rows.length > most) throw badUsage(`Cannot show more than ${most} rows of an answer: add "limit ${most}", or count instead`);
    return rows.map((row) => Object.fromEntries(row.map((value, i) => [names[i]!, cell(value)])));
  } finally {
    signal.removeEventListener("abort", interrupt);
    connection.closeSync();
    instance.closeSync();
  }
}

async function duckdb() {
  try {
    return await import("@duckdb/node-api");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const absent = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
    const reason = absent
      ? "DuckDB is not installed. Install it beside onestep"
      : `DuckDB does not load (${message.split("\n")[0]}). Install it anew`;
    throw new Failure(`Cannot answer SQL: ${reason} with: npm install @duckdb/node-api`, { cause });
  }
}

function refuse(sql: string) {
  return (error: Error): never => {
    const [line = ""] = error.message.replace("Failed to extract statements: ", "").split("\n");
    throw badUsage(`Cannot answer "${shown(sql)}": ${visible(line, 300)}`);
  };
}

const shown = (sql: string): string => visible(sql, 200);
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
