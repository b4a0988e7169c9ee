/**
 * Files in a bucket, each one object. A creation is a single conditional request, which every cloud keeps; its answer may be
 * lost on the way, so after any failure the object that stands there is compared by its hash.
 */
import type { Writer } from "opendal";
import { Failure, isFailure } from "../../schemas/failure.ts";
import type { Content } from "./atomic.ts";
import type { Created, Files } from "./functions.ts";
import { sha256 } from "./hash.ts";
import { addressOf, operatorOf } from "./operator.ts";
import { answerOf, isEnding, patiently, paused } from "./patience.ts";

const pieceBytes = 2 ** 25; // of an object written in parts
const attempts = 5; // of a creation that left nothing

/** Serves URLs. Throws Failures of one sentence; what they say of an answer has no credentials in it. */
export const bucketFiles: Files = {
  create: (url, bytes, hash) => asked("write", url, () => created(url, bytes, hash)),
  replace: (url, content) => asked("write", url, () => replaced(url, content)),
  read: (url, range) =>
    asked("read", url, async () => {
      const size = range ? range.to : await bucketFiles.size(url); // how long an answer may take follows from its size
      if (size === undefined) return undefined;
      const from = range?.from ?? 0;
      if (size <= from) return Buffer.alloc(0);
      const { operator, key } = await operatorOf(url, size - from);
      const part = { offset: BigInt(from), size: BigInt(size - from) };
      return orAbsent(patiently(() => operator.read(key, part), { bytes: size - from, probe: () => operator.stat(key) }));
    }),
  size: (url) =>
    asked("look for", url, async () => {
      const { operator, key } = await operatorOf(url);
      const found = await orAbsent(patiently(() => operator.stat(key)));
      return found === undefined ? undefined : Number(found.contentLength);
    }),
  list: async function* (url, prefix = "") {
    const { persistent, key } = await asked("list", url, () => operatorOf(url));
    const start = `${key}/`;
    const lister = await asked("list", url, () => answerOf(() => persistent.lister(start + prefix)));
    const next = () => asked("list", url, () => answerOf(() => lister.next()));
    for (let entry = await next(); entry !== null; entry = await next()) {
      const name = entry.path().slice(start.length).replace(/\/$/, "");
      if (name !== "" && !name.includes("/")) yield name;
    }
  },
  remove: (url) =>
    asked("remove", url, async () => {
      const { operator, key } = await operatorOf(url);
      await patiently(() => operator.delete(key));
    }),
};

/**
 * What tells an object from another that takes its place; undefined where there is none.
 *
 * @example
 * import { tagOf } from "./bucket.ts";
 * await assert.rejects(tagOf("s3://bucket"), /expected a bucket and a prefix in it/);
 */
export async function tagOf(url: string): Promise<string | undefined> {
  return asked("look for", url, async () => {
    const { operator, key } = await operatorOf(url);
    const found = await orAbsent(patiently(() => operator.stat(key)));
    return found && JSON.stringify([found.etag ?? found.lastModified, String(found.contentLength)]);
  });
}

async function created(url: string, bytes: Uint8Array, known?: string): Promise<Created> {
  const { operator, key } = await operatorOf(url, bytes.length);
  const hash = known ?? (await sha256(bytes));
  const size = { bytes: bytes.length, probe: () => operator.stat(key) };
  for (let attempt = 1; ; attempt++) {
    try {
      await patiently(() => operator.write(key, asBuffer(bytes), { ifNotExists: true, userMetadata: { sha256: hash } }), size);
      return "created";
    } catch (error) {
      const isThere = /^ConditionNotMatch/.test((error as Error).message);
      if (isEnding() && !isThere) throw error; // whoever goes on looks what stands there
      const found = await orAbsent(patiently(() => operator.stat(key)));
      if (found) {
        const content = async () => (await orAbsent(patiently(() => operator.read(key)))) ?? Buffer.alloc(0);
        return (found.userMetadata?.sha256 ?? (await sha256(await content()))) === hash ? "same" : "other";
      }
      const mayHelp = isThere || /^Unexpected|^RateLimited/.test((error as Error).message);
      if (!mayHelp || attempt === attempts) throw error;
      await paused(200 * 2 ** attempt);
    }
  }
}

/** Small content goes in one request; what is larger than a piece in parts, of which one is in memory. */
async function replaced(url: string, content: Content): Promise<void> {
  if (typeof content === "string" || content instanceof Uint8Array) {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    return put(url, asBuffer(bytes));
  }
  const { operator, persistent, key } = await operatorOf(url, pieceBytes);
  const size = { bytes: pieceBytes, probe: () => operator.stat(key) };
  const send = (to: Writer, bytes: Buffer): Promise<void> => answerOf(() => to.write(bytes), size);
  let held: Uint8Array[] = [];
  let length = 0;
  let writer: Writer | undefined;
  for await (const piece of content) {
    held.push(Uint8Array.from(piece)); // the maker of pieces may fill the same one again
    length += piece.length;
    if (length < pieceBytes) continue;
    writer ??= await answerOf(() => persistent.writer(key, { chunk: BigInt(pieceBytes) }));
    await send(writer, Buffer.concat(held));
    [held, length] = [[], 0];
  }
  const begun = writer;
  if (!begun) return put(url, Buffer.concat(held));
  if (length > 0) await send(begun, Buffer.concat(held));
  await answerOf(() => begun.close(), size);
}

/** Writes an object in one request. */
async function put(url: string, bytes: Buffer): Promise<void> {
  const { operator, key } = await operatorOf(url, bytes.length);
  await patiently(() => operator.write(key, bytes), { bytes: bytes.length, probe: () => operator.stat(key) });
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What a request answers; undefined where it says that there is no such object. */
async function orAbsent<T>(request: Promise<T>): Promise<T | undefined> {
  return request.catch((error: Error) => {
    if (/^NotFound/.test(error.message)) return undefined;
    throw error;
  });
}

/** Does what was asked of a bucket; opendal's errors become Failures that say what was asked, of which object, and why not. */
async function asked<T>(what: string, url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isFailure(error) || (error as NodeJS.ErrnoException).code !== "GenericFailure") throw error;
    const { why, remedy } = reasonOf((error as Error).message, addressOf(url));
    throw new Failure(`Cannot ${what} ${url}: ${why}. ${remedy}.`);
  }
}

/** Of opendal's message the kind, the status and the service's own code alone: the rest may hold headers and addresses. */
function reasonOf(message: string, address: string | undefined): { why: string; remedy: string } {
  const said = message.replace(/\bheaders: \{.*?\}/gs, ""); // which speak of connections and timeouts in every answer
  const [kind = ""] = message.split(" ");
  const [, status] = /\bstatus: (\d+)/.exec(said) ?? [];
  const [, code] = /\bcode: "(\w+)"/.exec(said) ?? /"x-ms-error-code": "(\w+)"/.exec(message) ?? [];
  const answer = [status, code].filter(Boolean).join(", ");
  const shown = answer === "" ? "" : ` (${answer})`;
  const at = address === undefined ? "" : ` at ${address}`;
  const again = "Run the same command again: everything finished is kept";
  if (code === "NoSuchBucket" || code === "ContainerNotFound" || (kind === "NotFound" && code === undefined))
    return { why: `there is no such bucket${at}`, remedy: "Check its name, or make it" };
  if (/loading credential|no valid credential/.test(said))
    return {
      why: "no credentials for it were found",
      remedy: "Give this process credentials as the cloud's own tools take them",
    };
  if (kind === "PermissionDenied" || status === "403" || status === "401" || kind === "NotFound")
    return {
      why: `permission is denied${shown}${at}`,
      remedy: "Give this process credentials as the cloud's own tools take them, or name another place",
    };
  if (kind === "Stopping:") return { why: `no answer came in the moment that was left${at}`, remedy: again };
  if (kind === "RateLimited" || status === "503" || status === "429")
    return { why: `the bucket asks for fewer requests${shown}`, remedy: again };
  if (/timeout/i.test(said))
    return { why: `the bucket does not answer in time${at}`, remedy: `${again}; ONESTEP_STORE_TIMEOUT lengthens the wait` };
  if (/send http request|connect/i.test(said))
    return { why: `nothing answers${at}`, remedy: `Check the address and the connection. ${again}` };
  return { why: `the bucket answers ${kind}${shown}`, remedy: again };
}
