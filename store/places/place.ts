/** Where a store may lie: in a folder, or under a URL in a bucket. */
import { basename, join, resolve } from "node:path";
import { badUsage } from "../../schemas/failure.ts";

/** The clouds whose buckets a store may lie in, by the beginning of their URLs, with the service's name in opendal. */
const services: Readonly<Record<string, "s3" | "gcs" | "azblob">> = { s3: "s3", gs: "gcs", az: "azblob" };

/** A URL with a password before its bucket, or signed by a cloud for whoever has it. */
const SECRET = /^[^:]+:\/\/[^/]*(@|:.*@)|[?&](sig|X-Amz-Signature|X-Goog-Signature|AWSAccessKeyId)=/i;

/** The parts of a URL: "s3://bucket/prefix/name" has the key "prefix/name". */
export interface Place {
  service: "s3" | "gcs" | "azblob";
  bucket: string;
  key: string;
}

/**
 * Whether a path is a URL and so lies in a bucket; or is meant to, since a slash may have been forgotten.
 *
 * @example
 * import { isUrl } from "./place.ts";
 * assert.deepEqual([isUrl("s3://bucket/triples"), isUrl("s3:/bucket/triples"), isUrl("data/triples")], [true, true, false]);
 */
export function isUrl(path: string): boolean {
  return /^([a-z][a-z0-9+.-]*:\/\/|(s3|gs|az):)/i.test(path);
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
  if (SECRET.test(url)) {
    const service = url.replace(/:\/\/.*/s, "://"); // the rest is not for a log
    throw badUsage(
      `Cannot use a URL ${service}... that holds credentials: they would stand wherever it is named. Give them as the cloud's own ` +
        "tools take them, in the environment or a file",
    );
  }
  const [, scheme = "", bucket = "", rest = ""] = /^([^:]+):\/\/([^/]*)\/?(.*)$/s.exec(url) ?? [];
  const service = services[scheme.toLowerCase()];
  const key = rest.replace(/\/+$/, "");
  const wrong = !service
    ? `expected one of ${Object.keys(services)
        .map((each) => `${each}://`)
        .join(", ")}`
    : bucket === "" || key === ""
      ? `expected a bucket and a prefix in it, as in ${scheme}://bucket/triples`
      : unfit(service, key);
  if (wrong !== undefined) throw badUsage(`Cannot use ${url}: ${wrong}`);
  return { service: service!, bucket, key };
}

/** Why a key cannot be had in a bucket through opendal 0.49.2, if so: what it would write under another name, or list under none. */
function unfit(service: Place["service"], key: string): string | undefined {
  if (key.split("/").some((name) => name === "" || name === "." || name === "..")) return "a name in it is empty, . or ..";
  if (key.trim() !== key || /\p{Cc}/u.test(key)) return "it begins or ends with a space, or has a control character in it";
  if (service === "azblob" && /[\\%]/.test(key)) return "names in az:// must have no \\ and no %";
  if (service === "gcs" && /[^\w/.!~*'()-]/.test(key)) {
    return "names in gs:// must be of letters a to z, digits and - _ . ! ~ * ' ( ) alone: others are written under another name";
  }
  return undefined;
}
