/** Draws with an exported folder as its onestep.json says, by ONNX Runtime and nothing else of this package's computing. */
import { join } from "node:path";
import { ort } from "../../../engine/session.ts";
import type { SampleNoise } from "../../../models/diffusion/sample-noise.ts";
import type { Loop, OnestepJson } from "../../../schemas/onestep-json.ts";

/** What of onestep.json drawing needs. */
export type Drawable = Pick<OnestepJson, "graphs" | "sampler" | "latent">;

/** Rows of conditions, by the inputs of the text encoder where there is one, else of the generator. */
export type ConditionRows = Record<string, Float32Array | Int32Array>;

export interface Drawn {
  latent: Float32Array;
  image: Float32Array;
}

export interface Runner {
  /** `rows` pictures in one batch. */
  draw: (given: { rows: number; noise: SampleNoise; conditions: ConditionRows }) => Promise<Drawn>;
  /** Milliseconds of the graphs, one picture each, in a call of `draw`. */
  timed: () => Record<"generator" | "decoder" | "text", number>;
  close: () => Promise<void>;
}

/** Opens the graphs of a folder, on `threads` of the CPU (0: one a core). */
export async function openRunner({ folder, json, threads }: { folder: string; json: Drawable; threads: number }): Promise<Runner> {
  const open = (file: string): Promise<ort.InferenceSession> =>
    ort.InferenceSession.create(join(folder, file), { intraOpNumThreads: threads, logSeverityLevel: 3 });
  const { generator, decoder, text } = json.graphs;
  const sessions = {
    generator: await open(generator.file),
    decoder: await open(decoder.file),
    ...(text && { text: await open(text.file) }),
  };
  const spent = { generator: 0, decoder: 0, text: 0 };

  async function run(name: keyof typeof spent, given: Record<string, ort.Tensor>): Promise<Record<string, ort.Tensor>> {
    const begin = performance.now();
    const answers = await (sessions[name] as ort.InferenceSession).run(given);
    spent[name] += performance.now() - begin;
    return answers;
  }

  return {
    draw: async ({ rows, noise, conditions }) => {
      Object.assign(spent, { generator: 0, decoder: 0, text: 0 });
      const graph = text ?? generator;
      const given = Object.fromEntries(
        graph.inputs.flatMap((port) => {
          const data = conditions[port.name];
          return data ? [[port.name, tensorOf(data, [rows, ...(port.shape.slice(1) as number[])])]] : [];
        }),
      );
      const features = text ? await run("text", given) : given;
      const shape = [rows, ...json.latent];
      const unit = { noise: tensorOf(noise.noise, shape), ...(noise.prior && { prior: tensorOf(noise.prior, shape) }) };
      const { sampler } = json;
      const call = async (own: Record<string, ort.Tensor>): Promise<Float32Array> =>
        ((await run("generator", { ...own, ...features })).latent as ort.Tensor).data as Float32Array;
      const latent =
        sampler.kind === "direct"
          ? await call(unit)
          : await loop(sampler.loops[sampler.calls] as Loop, {
              noise,
              ...(sampler.prior && { prior: sampler.prior }),
              call: (x, level) => call({ x: tensorOf(x, shape), level: tensorOf(Float32Array.from(level), [4]) }),
            });
      const { image } = await run("decoder", { latent: tensorOf(latent, shape) });
      return { latent: Float32Array.from(latent), image: Float32Array.from((image as ort.Tensor).data as Float32Array) };
    },
    timed: () => ({ ...spent }),
    close: async () => {
      for (const session of Object.values(sessions)) await session.release();
    },
  };
}

const tensorOf = (data: Float32Array | Int32Array, shape: readonly number[]): ort.Tensor =>
  data instanceof Int32Array ? new ort.Tensor("int32", data, shape) : new ort.Tensor("float32", data, shape);

/** The loop of onestep.json (schemas/onestep-json.ts), from noise to a latent. */
async function loop(
  { start, clip = Number.POSITIVE_INFINITY, stages }: Loop,
  given: {
    noise: SampleNoise;
    prior?: { mean: readonly number[]; std: readonly number[] };
    call: (x: Float32Array, level: readonly number[]) => Promise<Float32Array>;
  },
): Promise<Float32Array> {
  const { noise, prior, call } = given;
  let x = noise.noise.map((n, i) => {
    const channel = prior ? i % prior.mean.length : 0;
    return start * n + (prior ? (prior.mean[channel] as number) + (prior.std[channel] as number) * (noise.prior?.[i] as number) : 0);
  });
  const count = Math.max(0, ...stages.map(({ memories }) => memories.length));
  let memories = Array.from({ length: count }, () => new Float32Array(x.length));
  for (const [at, stage] of stages.entries()) {
    const clean = await call(x, stage.level);
    const held = [x, memories] as const;
    const fresh = stage.fresh > 0 ? noise.fresh?.[at] : undefined;
    x = held[0].map((value, i) => {
      const d = clean[i] as number;
      const used = stage.memories.reduce((sum, memory, j) => sum + memory.used * (held[1][j]?.[i] as number), 0);
      const added = fresh ? stage.fresh * (fresh[i] as number) : 0;
      return stage.state * value + stage.denoised * d + stage.clipped * Math.min(clip, Math.max(-clip, d)) + used + added;
    });
    memories = held[1].map((memory, j) => {
      const { kept, state, denoised } = stage.memories[j] ?? { kept: 1, state: 0, denoised: 0 };
      return memory.map((value, i) => kept * value + state * (held[0][i] as number) + denoised * (clean[i] as number));
    });
  }
  return x;
}
