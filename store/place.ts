/** Where a store may lie: in a folder, or under a URL in a bucket. */
import { basename, join, resolve } from "node:path";
import { badUsage } from "../schemas/failure.ts";

/** The clouds whose buckets a store may lie in, by the beginning of their URLs, with the service's name in opendal. */
const services: Readonly<Record<string, "s3" | "gcs" | "azblob">> = { s3: "s3", gs: "gcs", az: "azblob" };

/** The parts of a URL: "s3://bucket/prefix/name" has the key "prefix/name". */
export interface Place {
  service: "s3" | "gcs" | "azblob";
  bucket: string;
  key: string;
}

/**
 * Whether a path is a URL and so lies in a bucket.
 *
 * @example
 * import { isUrl } from "./place.ts";
 * assert.deepEqual([isUrl("s3://bucket/triples"), isUrl("data/triples")], [true, false]);
 */
export function isUrl(path: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(path);
}

/**
 * The path of something in a folder or under a URL.
 *
 * @example
 * import { within } from "./place.ts";
 * assert.equal(within("s3://bucket/triples/", "shards", "000000.parquet"), "s3://bucket/triples/shards/000000.parquet");
 */
export function within(folder: string, ...names: string[]): string {
  if (!isUrl(folder)) return join(folder, ...names);
  return [folder.replace(/\/+$/, ""), ...names.filter((name) => name !== "")].join("/");
}

/**
 * The last name of a path, for titles.
 *
 * @example
 * import { lastName } from "./place.ts";
 * assert.deepEqual([lastName("s3://bucket/triples/"), lastName("data/triples")], ["triples", "triples"]);
 */
export function lastName(folder: string): string {
  return isUrl(folder) ? (folder.replace(/\/+$/, "").split("/").at(-1) as string) : basename(resolve(folder));
}

/**
 * The parts of a URL. Throws a usage failure where it names no cloud, bucket or prefix that a store can lie in.
 *
 * @example
 * import { placeOf } from "./place.ts";
 * assert.deepEqual(placeOf("gs://bucket/a/b"), { service: "gcs", bucket: "bucket", key: "a/b" });
 */
export function placeOf(url: string): Place {
  const [, scheme = "", bucket = "", rest = ""] = /^([^:]+):\/\/([^/]*)\/?(.*)$/.exec(url) ?? [];
  const service = services[scheme.toLowerCase()];
  const key = rest.replace(/\/+$/, "");
  const wrong = !service
    ? `expected one of ${Object.keys(services)
        .map((each) => `${each}://`)
        .join(", ")}`
    : bucket === "" || key === ""
      ? `expected a bucket and a prefix in it, as in ${scheme}://bucket/triples`
      : key.split("/").some((name) => name === "" || name === "." || name === "..")
        ? "a name in it is empty, . or .."
        : undefined;
  if (wrong !== undefined) throw badUsage(`Cannot use ${url}: ${wrong}`);
  return { service: service!, bucket, key };
}
