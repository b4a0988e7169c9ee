/** Large files: streamed with progress, kept in parts by their hash, and taken up again where an earlier visit left off. */
import type { Asset } from "../messages.ts";

const partBytes = 4 << 20; // what is lost at most when a page is left while it loads
const tries = 4;

/**
 * The bytes of a file of the site. `base` is the site's root; `onBytes` is told how many are there. Throws an Error in plain words where
 * the file cannot be had, or is not the one that the site was made with.
 */
export async function loadAsset(asset: Asset, base: string, onBytes: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const { file, bytes, sha256 } = asset;
  const content = new Uint8Array(bytes);
  const cache = await openCache();
  const keyAt = (at: number): string => new URL(`kept/${sha256}/${at}`, base).href;
  let at = 0;
  for (;;) {
    const part = await cache?.match(keyAt(at));
    if (!part) break;
    const kept = new Uint8Array(await part.arrayBuffer());
    if (kept.length === 0 || at + kept.length > bytes) break;
    content.set(kept, at);
    onBytes((at += kept.length));
  }
  let saved = at;
  const save = async (): Promise<void> => {
    const [from, part] = [saved, content.slice(saved, at)];
    saved = at;
    await cache?.put(keyAt(from), new Response(part)).catch(() => {}); // a full disk keeps nobody from drawing
  };
  for (let attempt = 1; at < bytes; attempt++) {
    try {
      for await (const chunk of chunksOf(new URL(file, base).href, at, bytes)) {
        content.set(chunk, at);
        onBytes((at += chunk.length));
        if (at - saved >= partBytes || at === bytes) await save();
      }
      if (at < bytes) throw new TypeError("the file ended early");
    } catch (error) {
      if (at > saved) await save();
      if (!(error instanceof TypeError) || attempt === tries) throw error instanceof TypeError ? unreachable(file) : error;
      await new Promise((wake) => setTimeout(wake, 500 * 2 ** attempt)); // the connection was lost: go on where it broke off
    }
  }
  const isSecure = crypto.subtle !== undefined; // over http from another machine nothing computes hashes, nor is anything kept
  if (!isSecure || (await hashOf(content)) === sha256) return content;
  for (let from = 0; cache && from < bytes; ) {
    const part = await cache.match(keyAt(from));
    if (!part) break;
    await cache.delete(keyAt(from));
    from += (await part.arrayBuffer()).byteLength;
  }
  throw new Error(`${file} is not the file this page was made with. Load the page again; if that does not help, export the site anew.`);
}

/** What is left of a file from byte `at` on, also from a server that knows no ranges. */
async function* chunksOf(url: string, at: number, bytes: number): AsyncGenerator<Uint8Array> {
  const response = await fetch(url, at > 0 ? { headers: { range: `bytes=${at}-` } } : {});
  if (!response.ok || !response.body) throw new Error(`The server answers ${response.status} for ${new URL(url).pathname}.`);
  let skip = response.status === 206 ? 0 : at;
  let room = bytes - at;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const chunk = value.subarray(Math.min(skip, value.length));
    skip -= value.length - chunk.length;
    if (chunk.length > room) throw new Error(`${new URL(url).pathname} is longer than when this page was made. Load the page again.`);
    room -= chunk.length;
    if (chunk.length > 0) yield chunk;
  }
}

const unreachable = (file: string): Error => new Error(`${file} could not be loaded: there is no connection to the server.`);

/** Where files are kept; undefined where the browser keeps nothing, as in some private windows and over http from other machines. */
async function openCache(): Promise<Cache | undefined> {
  return "caches" in globalThis ? caches.open("onestep-files").catch(() => undefined) : undefined;
}

/** Forgets what no file of the site needs any more. */
export async function forgetOthers(needed: readonly Asset[], base: string): Promise<void> {
  const cache = await openCache();
  const kept = new URL("kept/", base).href;
  const hashes = new Set(needed.map(({ sha256 }) => sha256));
  for (const { url } of (await cache?.keys()) ?? []) {
    if (url.startsWith(kept) && !hashes.has(url.slice(kept.length).split("/")[0] as string)) await cache?.delete(url);
  }
}

async function hashOf(content: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
