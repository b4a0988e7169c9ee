/** The blocks of a U-Net: which follow each other, at which level, with how many channels and which skips. */
import type { PlannedNetwork, Rules } from "../../schemas/fit.ts";

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
  /** Whether the guidance scale is an input, as part of that vector. */
  guidance?: boolean;
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

/** The blocks that a config stands for, whose sides and channels divide. */
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

/** What must hold of a U-Net's settings. */
export const unetRules: Rules<PlannedNetwork> = {
  fit: [
    {
      settings: ["network.multipliers", "images.size"],
      why: ({ network: { multipliers }, shape }) => {
        const halvings = multipliers.length - 1;
        if (!shape || (shape[0] % 2 ** halvings === 0 && shape[1] % 2 ** halvings === 0)) return undefined;
        return (
          `${multipliers.length} levels halve the latents of ${shape[0]}x${shape[1]} pixels ${halvings} times; ` +
          "give one multiplier more than the side can be halved without remainder, at most"
        );
      },
    },
    {
      settings: ["network.attentionLevels", "network.multipliers"],
      why: ({ network: { attentionLevels, multipliers } }) => {
        const beyond = attentionLevels.find((level) => level >= multipliers.length);
        const last = multipliers.length - 1;
        return beyond === undefined ? undefined : `there is no level ${beyond}: each multiplier is one; name levels from 0 to ${last}`;
      },
    },
    {
      settings: ["network.heads", "network.width"],
      why: ({ network: { width, heads, attentionLevels, multipliers } }) => {
        const odd = attentionLevels.find((level) => (width * (multipliers[level] ?? 0)) % heads !== 0);
        return odd === undefined
          ? undefined
          : `${heads} heads do not divide the ${width * (multipliers[odd] ?? 0)} channels of level ${odd}; set network.heads to a divisor`;
      },
    },
  ],
  idle: [{ settings: ["network.patch"], why: () => "a U-Net takes no patches (network.kind)" }],
};
