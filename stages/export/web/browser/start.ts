/** Opens the page: what it needs of the browser, its descriptions, the worker and the models. */
import type { OnestepJson } from "../../../../schemas/onestep-json.ts";
import type { Device, Loading, Site, Who } from "../messages.ts";

/** Why this browser cannot run the page, in words; undefined where it can. */
export function lacking(): string | undefined {
  // A function that uses one 128-bit instruction: the runtime is made of them.
  const simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  const update = "Open the page in a current Chrome, Edge, Firefox or Safari.";
  if (typeof WebAssembly !== "object") return `This browser runs no WebAssembly, or it is switched off. ${update}`;
  if (!WebAssembly.validate(Uint8Array.from(simd))) return `This browser's WebAssembly is too old for the model. ${update}`;
  if (typeof Worker !== "function") return `This browser lets pages do no work in the background. ${update}`;
  return undefined;
}

/** The site's description: which models it has, and where. Throws an Error in words where it cannot be had. */
export async function readSite(base: string): Promise<Site> {
  return fetched<Site>(new URL("site.json", base));
}

/** A model's description, with the tokenizers that it names. */
export async function readLoading(who: Who, folder: string, base: string): Promise<Loading> {
  const root = new URL(folder, base);
  const model = await fetched<OnestepJson>(new URL("onestep.json", root));
  const files = "tokenizers" in model.condition ? model.condition.tokenizers.map(({ file }) => file) : [];
  return { who, model, folder, tokenizers: await Promise.all(files.map((file) => fetched<unknown>(new URL(file, root)))) };
}

async function fetched<T>(url: URL): Promise<T> {
  const response = await fetch(url).catch(() => undefined);
  if (!response) throw new Error(`${url.pathname} could not be loaded: there is no connection to the server.`);
  if (!response.ok) throw new Error(`The server answers ${response.status} for ${url.pathname}: the site is not whole. Export it again.`);
  return (await response.json()) as T;
}

/** What `?device=` in the page's address asks for: wasm or webgpu, whatever is there. */
export function askedDevice(): Device | "best" {
  const asked = new URLSearchParams(location.search).get("device");
  return asked === "wasm" || asked === "webgpu" ? asked : "best";
}

/** Lets the page open without a connection from the next visit on; where the browser keeps nothing, it does not. */
export function keepOffline(base: string): void {
  navigator.serviceWorker?.register(new URL("sw.js", base)).catch(() => {});
}
