/** Flags that several commands share. */
import { model } from "../recipes/groups.ts";
import type { Flag, Input, InputPath, Output, Positional } from "./command.mts";

export const commonFlags: Readonly<Record<string, Flag>> = {
  preset: {
    value: "NAME",
    about: "start from a built-in set of settings",
    choices: async () => (await import("../recipes/recipe.ts")).presetNames(),
  },
  config: { value: "FILE.yaml", about: "settings from a file, over the preset" },
  set: { value: "PATH=VALUE", about: "one setting, over everything else, as in train.batch=32", many: true },
  seed: { value: "S", about: "seed of everything random", sets: "seed" },
  device: { value: "NAME", about: "what computes; several cards as cuda:0,cuda:1", sets: "engine.device" },
  threads: { value: "N", about: "threads of the engine, or of all in `run`; 0 is one for each core", sets: "engine.threads" },
  cache: { value: "FOLDER", about: "keeps what was read of buckets, and graphs; as ONESTEP_CACHE" },
  json: { about: "print one JSON event a line instead of bars and words" },
  quiet: { about: "print results and warnings only" },
  help: { about: "print this" },
};

/** A run or store, or a published pipeline: a folder, or a file of weights; of a pickle its reader says what to do. */
export const orPipeline: InputPath = { orFile: /\.(safetensors|bin|ckpt|pt|pth|pkl)$/ };

/** LoRAs of others on top of a published teacher. */
export const lora: Flag = { value: "FILE[:SCALE]", about: "add this LoRA to a published pipeline's weights; repeat for more", many: true };

/** The size of a published pipeline's pictures. */
export const size: Flag = {
  value: "WxH",
  about: "pictures of a published pipeline in pixels, as 768x512; those it was trained on otherwise",
};

/** The size that a line asks for. */
export async function sizeIn({ size: text }: Input["flags"]) {
  return (await import("../stages/published/size.ts")).requestedSize(text);
}

export const images: Positional = { name: "IMAGES", about: "zip files or folders of images", many: true };
/** Where the result goes: a flag that a command cannot do without. */
export const out = (value: string, about: string, output: Output = "folder"): Flag => ({ value, about, required: true, output });
/** What is a store that its command writes where it lies, or a run that it sends there itself. */
export const store = (flag: Flag): Flag => ({ ...flag, bucket: "store" });
export const count: Flag = { value: "N", about: "triples to make", sets: "simulate.count" };
export const steps: Flag = { value: "K", about: "solver steps a triple", sets: "simulate.steps" };
export const guidance: Flag = { value: "G", about: "classifier-free guidance scale; 1 is none", sets: "simulate.guidance" };
export const trajectory: Flag = {
  value: "0,4,8",
  about: "solver steps before which the teacher's states are kept too; none for none",
  sets: "simulate.trajectory",
};
export const prompts: Flag = {
  value: "FILE",
  about: "texts to draw or learn from in turn: .txt one a line, .csv, .jsonl or .parquet with a column prompt, text or caption",
  sets: "simulate.prompts",
};
export const negative: Flag = {
  value: "TEXT",
  about: "what guidance leads away from, of published teachers; their pipeline's own unless told",
  sets: "simulate.negative",
};
export const workers: Flag = {
  value: "N",
  about: "trainers that share each batch, with the bits of one; each has its part of the threads, or a card",
  sets: "train.workers",
};
export const solver: Flag = { value: "NAME", about: "of the ODE", sets: "simulate.solver" };

export const method: Flag = {
  value: "NAME",
  about: "how to distil, or the file of a method of your own; `pipeline methods NAME` shows what one does and its own settings",
  choices: async () => (await import("../methods/registry.ts")).methodNames(),
};

export { model };
export const everything = [...model, "seed", "pretrain", "simulate", "train", "evaluate", "engine"] as const;

export const repair: Flag = { about: "verify the store first, and make damaged shards again" };

export const workFlags: Readonly<Record<string, Flag>> = {
  part: {
    value: "I/N",
    about:
      "make only every N-th shard, from the I-th on: processes share the work; auto/N takes I from a cluster's engine, and simulate then " +
      "makes what is missing of other parts",
  },
  shards: { value: "A-B", about: "make only these shards" },
  repair,
  retry: { about: "try the rows that failed in finished shards again" },
};

/** The work that a line asks for; `--part auto/N` is filled in. */
export async function workOf({ part, shards, repair, retry }: Input["flags"]) {
  const { partOf } = await import("../stages/cluster/engines.ts");
  return { ...partOf(part, process.env), shards, repair: repair !== undefined, retry: retry !== undefined };
}

/** The LoRAs that a line asks for. */
export async function lorasOf({ lora = [] }: Input["repeated"]) {
  const { loraRequests } = await import("../stages/published/lora.ts");
  return loraRequests(lora);
}
