/** What the page and its worker say to each other, and what site.json says to both. */
import type { OnestepJson } from "../../../schemas/onestep-json.ts";
import type { Wish } from "./link.ts";

/** A file that is loaded with progress and kept by its hash; `file` is from the site's root. */
export interface Asset {
  file: string;
  bytes: number;
  sha256: string;
}

/** ONNX Runtime for one kind of device: its script, the script that starts its program, and the program. */
export interface Runtime {
  script: string;
  loader: string;
  program: Asset;
}

export type Device = "wasm" | "webgpu";

/** Who draws. */
export type Who = "student" | "teacher";

/** site.json. */
export interface Site {
  version: string;
  /** Folders with onestep.json in them. */
  models: { student: string; teacher?: string };
  runtimes: Record<Device, Runtime>;
  /** The script that reads published tokenizers, where a model has some. */
  tokenizers?: string;
}

/** A model as the worker needs it. */
export interface Loading {
  who: Who;
  model: OnestepJson;
  /** Its folder, from the site's root and with a slash at its end. */
  folder: string;
  /** What their files hold, in the order in which the model names them: of its own kind TokenizerData. */
  tokenizers: readonly unknown[];
}

export type ToWorker =
  | { say: "load"; loading: Loading; site: Site; device: Device | "best" }
  | { say: "draw"; id: number; who: Who; wish: Wish }
  | { say: "stop"; id: number };

/** Pixels are [height * width * 4]. */
export interface Drawn {
  pixels: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
  milliseconds: number;
}

export type FromWorker =
  | { say: "progress"; who: Who; done: number; total: number }
  | { say: "ready"; who: Who; device: Device; threads: number }
  | { say: "call"; id: number; call: number; calls: number }
  | { say: "drawn"; id: number; drawn: Drawn }
  | { say: "stopped"; id: number }
  | { say: "failed"; id: number | undefined; who: Who; message: string };
