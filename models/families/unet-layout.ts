/** The blocks of a U-Net: which follow each other, at which level, with how many channels and which skips. */
import { type SpecProblem, undivided } from "./problems.ts";

export interface UnetConfig {
  /** Latent shape, [height, width, channels]. */
  shape: readonly [number, number, number];
  /** Channels of the first level. */
  width: number;
  /** Channels of each level, relative to `width`; each level halves the resolution of the one before. */
  multipliers: readonly number[];
  /** Residual blocks a level. */
  depth: number;
  /** Levels with self-attention, 0 the finest. */
  attentionLevels: readonly number[];
  heads: number;
  /** Whether it takes a condition vector: only then there is a layer for it. */
  conditional: boolean;
}

type Resampling = "up" | "down" | undefined;

export interface Block {
  name: string;
  level: number;
  inputs: number;
  outputs: number;
  attention: boolean;
  resampling?: Resampling;
  /** Decoder: channels of the encoder features concatenated to the input. */
  skip?: number;
}

/** The blocks of a U-Net in order of application. */
interface Layout {
  encoder: Block[];
  middle: Block[];
  decoder: Block[];
}

/** What keeps a config from being a U-Net: sides that do not halve as often as there are levels, channels that heads do not divide. */
export function layoutProblems({ shape, width, multipliers, attentionLevels, heads }: Omit<UnetConfig, "conditional">): SpecProblem[] {
  const [h, w] = shape;
  const levels = multipliers.length;
  if (levels === 0) return [{ key: "network.multipliers", problem: "it names no level" }];
  if (h % 2 ** (levels - 1) !== 0 || w % 2 ** (levels - 1) !== 0) {
    const problem = `latents of ${h}x${w} cannot be halved ${levels - 1} times, as a U-Net of ${levels} levels does`;
    return [{ key: "network.multipliers", problem }];
  }
  // The middle attends where the deepest level does, so that these are all.
  const level = attentionLevels.find((each) => each < levels && (width * (multipliers[each] as number)) % heads !== 0);
  if (level === undefined) return [];
  return undivided({
    ...{ key: "network.heads", parts: heads, what: `channels of U-Net level ${level}` },
    whole: width * (multipliers[level] as number),
  });
}

/** The blocks that a config without problems stands for. */
export function layOut({ width, multipliers, depth, attentionLevels }: Omit<UnetConfig, "conditional">): Layout {
  const deepest = multipliers.length - 1;
  const channels = (level: number) => width * (multipliers[level] as number);
  const attention = (level: number) => attentionLevels.includes(level);
  const encoder: Block[] = [];
  const skips = [width];
  for (let level = 0; level <= deepest; level++) {
    const outputs = channels(level);
    if (level > 0) {
      const inputs = channels(level - 1);
      encoder.push({
        name: `encoder.${level}.down`,
        level,
        inputs,
        outputs: inputs,
        attention: false,
        resampling: "down",
      });
      skips.push(inputs);
    }
    for (let i = 0; i < depth; i++) {
      const inputs = skips.at(-1) as number;
      encoder.push({ name: `encoder.${level}.blocks.${i}`, level, inputs, outputs, attention: attention(level) });
      skips.push(outputs);
    }
  }
  const bottom = { level: deepest, inputs: channels(deepest), outputs: channels(deepest) };
  const middle = [
    { name: "middle.0", ...bottom, attention: attention(deepest) },
    { name: "middle.1", ...bottom, attention: false },
  ];
  const decoder: Block[] = [];
  let inputs = channels(deepest);
  for (let level = deepest; level >= 0; level--) {
    if (level < deepest) {
      decoder.push({ name: `decoder.${level}.up`, level, inputs, outputs: inputs, attention: false, resampling: "up" });
    }
    const outputs = channels(level);
    for (let i = 0; i <= depth; i++) {
      const name = `decoder.${level}.blocks.${i}`;
      decoder.push({
        name,
        level,
        inputs,
        outputs,
        attention: attention(level) && i === depth,
        skip: skips.pop() as number,
      });
      inputs = outputs;
    }
  }
  return { encoder, middle, decoder };
}
