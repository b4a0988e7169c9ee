/** The blocks of a U-Net: which follow each other, at which level, with how many channels and which skips. */
import { badUsage } from "../../schemas/failure.ts";

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

/** The blocks that a config stands for. Throws a usage failure where sides or channels do not divide. */
export function layOut({ shape, width, multipliers, depth, attentionLevels, heads }: Omit<UnetConfig, "conditional">): Layout {
  const [h, w] = shape;
  const deepest = multipliers.length - 1;
  if (h % 2 ** deepest !== 0 || w % 2 ** deepest !== 0) {
    throw badUsage(
      `Cannot build a U-Net of ${multipliers.length} levels on latents of ${h}x${w}: ` +
        "network.multipliers may have as many entries as the side can be halved without remainder, plus one",
    );
  }
  const channels = (level: number) => width * (multipliers[level] as number);
  const odd = attentionLevels.find((level) => level <= deepest && channels(level) % heads !== 0);
  if (odd !== undefined) {
    throw badUsage(`Cannot split the ${channels(odd)} channels of U-Net level ${odd} among ${heads} heads: network.heads must divide them`);
  }
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
