/** What is wrong with a description that has the right form: keys that do not fit each other, by what models/ knows. */
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { encoderRules } from "../../models/encoders/own.ts";
import { familyRules } from "../../models/families/registry.ts";
import { perceptualConfig } from "../../models/losses/perceptual.ts";
import { createTokenizer } from "../../models/text/tokenizer.ts";
import type {
  DenoiserDescription,
  DenoiserSpec,
  ImageTokenizerDescription,
  PerceptualDescription,
  PriorDescription,
  Sampler,
} from "../../schemas/model.ts";

interface Problem {
  key: string;
  problem: string;
}

/** Of a teacher or student: its network can be built, its statistics are of its channels, its tokenizer knows all its pieces. */
export function denoiserProblems({ spec, statistics, tokenizer, sampler }: DenoiserDescription): Problem[] {
  const pieces = tokenizer ? createTokenizer(tokenizer).size : 0;
  return [
    ...specProblems(spec),
    ...statisticsProblems(statistics, spec.shape[2]),
    ...(sampler ? samplerProblems(sampler, spec) : []),
    ...(pieces === spec.vocabulary
      ? []
      : [{ key: "spec.vocabulary", problem: `its tokenizer has ${pieces} pieces, not ${spec.vocabulary}` }]),
  ];
}

/**
 * The most blocks in a row, and the most levels: several times as many as the deepest networks that are published have. A
 * file may ask for a thousand million, and listing their parameters shall not fill the memory.
 */
const MOST_BLOCKS = 1024;
const MOST_LEVELS = 16;

/** What keeps a specification from being a network. */
function specProblems(spec: DenoiserSpec): Problem[] {
  const { depth, textDepth, multipliers, attentionLevels } = spec.network;
  const sizes = { depth, textDepth, multipliers: multipliers.length, attentionLevels: attentionLevels.length };
  const unheard = Object.entries(sizes).flatMap(([key, size]): Problem[] => {
    const [most, what] = key.endsWith("epth") ? [MOST_BLOCKS, "blocks"] : [MOST_LEVELS, "levels"];
    return size > most
      ? [{ key: `spec.network.${key}`, problem: `${size} ${what} are more than the ${most} that a network may have` }]
      : [];
  });
  if (unheard.length > 0) return unheard;
  if (multipliers.length === 0) return [{ key: "spec.network.multipliers", problem: "it names no level" }];
  const rules = [...(familyRules(spec.network).fit ?? []), ...(encoderRules.fit ?? [])];
  return rules.flatMap(({ settings, why }) => {
    // A level that is not there attends nowhere: new networks do not name it, and earlier versions trained such ones.
    const problem = settings[0] === "network.attentionLevels" ? undefined : why(spec);
    return problem === undefined ? [] : [{ key: settings.map((path) => places[path] ?? `spec.${path}`).join(" and "), problem }];
  });
}

/** Where a description says what settings call otherwise. */
const places: Record<string, string> = { "images.size": "spec.shape" };

/** How far a noise level may lie outside of the network's, as its share: it went through a time and back. */
const STRAY = 1e-6;

/** What keeps a sampler from being one of this network: levels that do not fall or that it does not know, numbers that do not agree. */
function samplerProblems({ times, choices = {}, prior }: Sampler, { diffusion, shape }: DenoiserSpec): Problem[] {
  const { sigmaMin } = diffusion;
  const { sigmaMax } = createParameterisation(diffusion);
  const most = Math.max(diffusion.sigmaMax, sigmaMax);
  const ofTimes = (key: string, levels: readonly number[]): Problem[] => {
    const outside = levels.find((sigma) => sigma < sigmaMin * (1 - STRAY) || sigma > most * (1 + STRAY));
    if (outside !== undefined) return [{ key, problem: `${outside} is not between the network's noise levels, ${sigmaMin} and ${most}` }];
    // What lies above the highest level of the network's schedule is that level.
    const rising = levels.findIndex((sigma, i) => i > 0 && sigma >= Math.min(levels[i - 1] as number, sigmaMax));
    return rising < 0 ? [] : [{ key, problem: `noise levels must fall, and ${levels[rising]} follows ${levels[rising - 1]}` }];
  };
  return [
    ...(times === "any" ? [] : ofTimes("sampler.times", times)),
    ...Object.entries(choices).flatMap(([count, levels]) => [
      ...(levels.length === Number(count) ? [] : [{ key: `sampler.choices.${count}`, problem: `it names ${levels.length} noise levels` }]),
      ...ofTimes(`sampler.choices.${count}`, levels),
    ]),
    ...Object.entries(prior ?? {})
      .filter(([, { length }]) => length !== shape[2])
      .map(([key, { length }]) => ({ key: `sampler.prior.${key}`, problem: `${length} numbers for ${shape[2]} channels` })),
  ];
}

/** Of a perceptual network: it has the stages that its latents allow. */
export function perceptualProblems({ config }: PerceptualDescription): Problem[] {
  const { stages } = perceptualConfig(config);
  if (config.stages === stages) return [];
  return [{ key: "config.stages", problem: `latents of ${config.shape.join("x")} have ${stages} stages, not ${config.stages}` }];
}

/** Of an image tokenizer: the grid of its tokens divides its latents, and its statistics are of their channels. */
export function imageTokenizerProblems({ config, statistics }: ImageTokenizerDescription): Problem[] {
  const { shape, downsample } = config;
  const fits = shape[0] % downsample === 0 && shape[1] % downsample === 0;
  return [
    ...(fits ? [] : [{ key: "config.downsample", problem: `latents of ${shape.join("x")} do not shrink ${downsample} times` }]),
    ...statisticsProblems(statistics, shape[2]),
  ];
}

/** Of a prior: its blocks can be listed, its heads divide its width, and its tokenizer knows all its pieces. */
export function priorProblems({ spec, tokenizer }: PriorDescription): Problem[] {
  const { width, depth, heads, textDepth } = spec.network;
  const pieces = tokenizer ? createTokenizer(tokenizer).size : 0;
  const problems: Problem[] = [];
  for (const [key, blocks] of Object.entries({ depth, textDepth })) {
    if (blocks > MOST_BLOCKS) {
      problems.push({ key: `spec.network.${key}`, problem: `${blocks} blocks are more than the ${MOST_BLOCKS} that a network may have` });
    }
  }
  if (width % heads !== 0) problems.push({ key: "spec.network.heads", problem: `${heads} heads do not divide a width of ${width}` });
  if (pieces !== spec.vocabulary)
    problems.push({ key: "spec.vocabulary", problem: `its tokenizer has ${pieces} pieces, not ${spec.vocabulary}` });
  return problems;
}

/** How far a mean may lie outside of the extremes it was taken over, of their size: it was summed in float64. */
const ROUNDING = 1e-6;

function statisticsProblems({ mean, std, min, max }: DenoiserDescription["statistics"], channels: number): Problem[] {
  const lengths = Object.entries({ mean, std, min, max }).filter(([, values]) => values.length !== channels);
  if (lengths.length > 0) {
    return lengths.map(([key, { length }]) => ({ key: `statistics.${key}`, problem: `${length} numbers for ${channels} channels` }));
  }
  return mean.flatMap((value, channel): Problem[] => {
    const [low, high, spread] = [min[channel], max[channel], std[channel]] as [number, number, number];
    const slack = ROUNDING * (Math.abs(low) + Math.abs(high));
    if (value < low - slack || value > high + slack) {
      return [{ key: `statistics.mean.${channel}`, problem: `${value} is not between the least and largest value, ${low} and ${high}` }];
    }
    if (spread < 0 || spread > high - low + slack) {
      return [{ key: `statistics.std.${channel}`, problem: `values from ${low} to ${high} cannot have a deviation of ${spread}` }];
    }
    return [];
  });
}
