import { methodNames } from "../../methods/registry.ts";
import { familyNames } from "../../models/families/registry.ts";
import { checkFit, examineFit, rulesOf } from "../../recipes/fit.ts";
import { type Part, partsOfRun, shapeOf } from "../../recipes/parts.ts";
import { presetNames } from "../../recipes/recipe.ts";
import { assignmentLayer, type Layer, methodLayer, presetLayer, resolveSettings, wishesOf } from "../../recipes/resolve-settings.ts";
import type { Settings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("settings that fit each other");

const everyPart: Part[] = [
  "encode",
  "autoencoder",
  "perceptual",
  "teacher",
  "tokenizer",
  "tokenize",
  "prior",
  "simulate",
  "train",
  "evaluate",
];

interface Case {
  /** What a user gives with --set, after a preset. */
  set: string[];
  parts: Part[];
  preset?: string;
  method?: string;
  shape?: [number, number, number];
  /** As if a preset or default had set it, so that nobody asked. */
  unasked?: boolean;
}

function examined({ set, parts, shape, preset = "smoke", method, unasked }: Case) {
  const layers: Layer[] = [presetLayer(preset), ...(method ? [methodLayer(method)] : []), ...set.map(assignmentLayer)];
  const plan = { settings: resolveSettings(layers), parts, asked: unasked ? new Map() : wishesOf(layers), ...(shape && { shape }) };
  return { ...examineFit(plan), rules: rulesOf(plan) };
}

/** Keys of the rules, and what fires them: names and values that the sentence must hold, in words of this table. */
const refused: Record<string, Case & { says: string[] }> = {
  "pretrain.teacher.batch & pretrain.teacher.accumulate": {
    set: ["pretrain.teacher.batch=10", "pretrain.teacher.accumulate=3"],
    parts: ["teacher"],
    says: ["pretrain.teacher.batch=10", "pretrain.teacher.accumulate=3", "divisor"],
  },
  "pretrain.autoencoder.batch & pretrain.autoencoder.accumulate": {
    set: ["pretrain.autoencoder.accumulate=3"],
    parts: ["autoencoder"],
    says: ["pretrain.autoencoder.batch=4", "pretrain.autoencoder.accumulate=3"],
  },
  "pretrain.perceptual.batch & pretrain.perceptual.accumulate": {
    set: ["pretrain.perceptual.accumulate=8"],
    parts: ["perceptual"],
    says: ["pretrain.perceptual.batch=4", "pretrain.perceptual.accumulate=8"],
  },
  "pretrain.tokenizer.batch & pretrain.tokenizer.accumulate": {
    set: ["pretrain.tokenizer.accumulate=8"],
    parts: ["tokenizer"],
    says: ["pretrain.tokenizer.batch=4", "pretrain.tokenizer.accumulate=8"],
  },
  "pretrain.prior.batch & pretrain.prior.accumulate": {
    set: ["pretrain.prior.accumulate=8"],
    parts: ["prior"],
    says: ["pretrain.prior.batch=4", "pretrain.prior.accumulate=8"],
  },
  "pretrain.prior.warmup & pretrain.prior.steps": {
    set: ["pretrain.prior.warmup=5"],
    parts: ["prior"],
    says: ["pretrain.prior.warmup=5", "pretrain.prior.steps=4"],
  },
  "pretrain.prior.heads & pretrain.prior.width": {
    set: ["pretrain.prior.heads=3"],
    parts: ["prior"],
    says: ["pretrain.prior.heads=3", "pretrain.prior.width=16"],
  },
  "pretrain.prior.dropCondition & pretrain.prior.guidance": {
    set: ["pretrain.prior.dropCondition=0"],
    parts: ["prior"],
    says: ["pretrain.prior.dropCondition=0", "pretrain.prior.guidance=2"],
  },
  "pretrain.prior.dropCondition & network.condition": {
    set: ["pretrain.prior.dropCondition=1"],
    parts: ["prior"],
    says: ["pretrain.prior.dropCondition=1", "network.condition=class"],
  },
  ...Object.fromEntries(
    ["train", ...["teacher", "autoencoder", "perceptual", "tokenizer", "prior"].map((what) => `pretrain.${what}`)].map((group) => [
      `${group}.workers & ${group}.batch & ${group}.accumulate`,
      { set: [`${group}.workers=3`], parts: [group.replace("pretrain.", "") as Part], says: [`${group}.workers=3`, `${group}.batch=4`] },
    ]),
  ),
  "engine.cards & engine.device": { set: ["engine.cards=[1]"], parts: ["train"], says: ["engine.cards=", "engine.device=cpu"] },
  "train.workers & engine.cards": {
    set: ["engine.device=cuda:0,cuda:1", "train.batch=6", "train.workers=3"],
    parts: ["train"],
    says: ["train.workers=3", "engine.cards="],
  },
  "simulate.workers & engine.cards": {
    set: ["engine.device=cuda:0,cuda:1", "simulate.workers=3"],
    parts: ["simulate"],
    says: ["simulate.workers=3", "engine.cards="],
  },
  ...Object.fromEntries(
    (["train", "simulate"] as const).map((group) => [
      `${group}.workers & engine.device`,
      { set: ["engine.device=webgpu", `${group}.workers=2`], parts: [group], says: [`${group}.workers=2`, "engine.device=webgpu"] },
    ]),
  ),
  "train.batch & train.accumulate": {
    set: ["train.batch=7", "train.accumulate=2"],
    parts: ["train"],
    says: ["train.batch=7", "train.accumulate=2"],
  },
  "pretrain.teacher.warmup & pretrain.teacher.steps": {
    set: ["pretrain.teacher.warmup=7"],
    parts: ["teacher"],
    says: ["pretrain.teacher.warmup=7", "pretrain.teacher.steps=6"],
  },
  "pretrain.autoencoder.warmup & pretrain.autoencoder.steps": {
    set: ["pretrain.autoencoder.warmup=5"],
    parts: ["autoencoder"],
    says: ["pretrain.autoencoder.warmup=5", "pretrain.autoencoder.steps=4"],
  },
  "pretrain.perceptual.warmup & pretrain.perceptual.steps": {
    set: ["pretrain.perceptual.warmup=5"],
    parts: ["perceptual"],
    says: ["pretrain.perceptual.warmup=5", "pretrain.perceptual.steps=4"],
  },
  "pretrain.tokenizer.warmup & pretrain.tokenizer.steps": {
    set: ["pretrain.tokenizer.warmup=5"],
    parts: ["tokenizer"],
    says: ["pretrain.tokenizer.warmup=5", "pretrain.tokenizer.steps=4"],
  },
  "train.warmup & train.steps": { set: ["train.warmup=9"], parts: ["train"], says: ["train.warmup=9", "train.steps=8"] },
  "pretrain.teacher.keep & pretrain.teacher.distanceEvery": {
    set: ["pretrain.teacher.keep=best"],
    parts: ["teacher"],
    says: ["pretrain.teacher.keep=best", "pretrain.teacher.distanceEvery=0"],
  },
  "train.keep & train.distanceEvery": {
    set: ["train.keep=best", "train.distanceEvery=0"],
    parts: ["train"],
    says: ["train.keep=best", "train.distanceEvery=0"],
  },
  "network.patch & images.size": {
    set: ["images.size=30", "network.patch=4"],
    parts: ["teacher"],
    shape: [30, 30, 3],
    says: ["network.patch=4", "images.size=30", "30x30"],
  },
  "network.width & network.heads": {
    set: ["network.width=16", "network.heads=3"],
    parts: ["teacher"],
    says: ["network.width=16", "network.heads=3"],
  },
  "network.multipliers & images.size": {
    set: ["network.kind=unet", "network.multipliers=[1,2,2,2]", "images.size=12"],
    parts: ["teacher"],
    shape: [12, 12, 3],
    says: ["network.multipliers=[1,2,2,2]", "images.size=12", "12x12"],
  },
  "network.attentionLevels & network.multipliers": {
    set: ["network.kind=unet", "network.attentionLevels=[1,3]"],
    parts: ["teacher"],
    says: ["network.attentionLevels=[1,3]", "network.multipliers=[1,2,2]", "no level 3"],
  },
  "network.heads & network.width": {
    set: ["network.kind=unet", "network.heads=3", "network.condition=none"],
    parts: ["teacher"],
    says: ["network.heads=3", "network.width=16", "32 channels"],
  },
  "network.vocabulary & network.condition": {
    set: ["network.condition=caption", "network.vocabulary=20"],
    parts: ["teacher"],
    says: ["network.vocabulary=20", "network.condition=caption"],
  },
  "pretrain.teacher.dropCondition & simulate.guidance": {
    set: ["pretrain.teacher.dropCondition=0", "simulate.guidance=2"],
    parts: ["simulate"],
    says: ["pretrain.teacher.dropCondition=0", "simulate.guidance=2"],
  },
  "simulate.trajectory & simulate.steps": {
    set: ["simulate.trajectory=0,3"],
    parts: ["simulate"],
    says: ["simulate.trajectory=[0,3]", "simulate.steps=3", "0 to 2"],
  },
  "pretrain.teacher.dropCondition & network.condition": {
    set: ["pretrain.teacher.dropCondition=1"],
    parts: ["teacher"],
    says: ["pretrain.teacher.dropCondition=1", "network.condition=class"],
  },
  "images.size & pretrain.autoencoder.downsample": {
    set: ["images.size=30", "pretrain.autoencoder.downsample=4"],
    parts: ["autoencoder"],
    says: ["images.size=30", "pretrain.autoencoder.downsample=4"],
  },
  "pretrain.tokenizer.downsample & images.size": {
    set: ["images.size=12", "pretrain.tokenizer.downsample=8"],
    parts: ["tokenizer"],
    shape: [12, 12, 3],
    says: ["images.size=12", "pretrain.tokenizer.downsample=8", "12x12"],
  },
  "train.diffusion2gan.scales & network.patch & images.size": {
    set: ["train.diffusion2gan.scales=[1,3]"],
    parts: ["train"],
    shape: [16, 16, 3],
    says: ["train.diffusion2gan.scales=[1,3]", "network.patch=4", "images.size=16", "4x4"],
  },
  "train.diffusion2gan.scales & network.multipliers": {
    set: ["network.kind=unet", "train.diffusion2gan.scales=[1,8]"],
    parts: ["train"],
    says: ["train.diffusion2gan.scales=[1,8]", "network.multipliers=[1,2,2]", "1, 2, 4"],
  },
  "train.diffusion2gan.discriminatorDepth & network.depth": {
    set: ["train.diffusion2gan.discriminatorDepth=5"],
    parts: ["train"],
    says: ["train.diffusion2gan.discriminatorDepth=5", "network.depth=2"],
  },
  "train.diffusion2gan.perceptualWeight & train.diffusion2gan.latentWeight & train.diffusion2gan.adversarialWeight": {
    set: ["perceptualWeight=0", "latentWeight=0", "adversarialWeight=0"].map((setting) => `train.diffusion2gan.${setting}`),
    parts: ["train"],
    says: ["perceptualWeight=0", "latentWeight=0", "adversarialWeight=0"],
  },
  "train.diffusion2gan.adversarialStart & train.steps": {
    set: ["train.diffusion2gan.adversarialStart=8"],
    parts: ["train"],
    says: ["train.diffusion2gan.adversarialStart=8", "train.steps=8"],
  },
  "train.diffusion2gan.mismatch & train.batch & train.accumulate": {
    set: ["train.accumulate=4", "train.diffusion2gan.mismatch=0.5"],
    parts: ["train"],
    says: ["train.diffusion2gan.mismatch=0.5", "train.batch=4", "train.accumulate=4"],
  },
  "train.diffusion2gan.imageShare & train.batch": {
    set: ["train.images=latents", "train.diffusion2gan.imageShare=0.1"],
    parts: ["train"],
    says: ["train.diffusion2gan.imageShare=0.1", "train.batch=4"],
  },
  "train.tlcm.discriminatorDepth & network.depth": {
    set: ["train.tlcm.discriminatorDepth=5"],
    parts: ["train"],
    method: "tlcm",
    says: ["train.tlcm.discriminatorDepth=5", "network.depth=2"],
  },
  "train.tlcm.lastPart & train.tlcm.matchingWeight & train.tlcm.adversarialWeight": {
    set: ["train.tlcm.matchingWeight=0", "train.tlcm.adversarialWeight=0"],
    parts: ["train"],
    method: "tlcm",
    says: ["train.tlcm.lastPart=0.25", "matchingWeight=0", "adversarialWeight=0"],
  },
  "train.d2o.teacherDepth & network.depth": {
    set: ["train.d2o.teacherDepth=5"],
    parts: ["train"],
    method: "d2o",
    says: ["train.d2o.teacherDepth=5", "network.depth=2"],
  },
  "train.scott.discriminatorDepth & network.depth": {
    set: ["train.scott.discriminatorDepth=5"],
    parts: ["train"],
    method: "scott",
    says: ["train.scott.discriminatorDepth=5", "network.depth=2"],
  },
  "train.scott.adversarialStart & train.steps": {
    set: ["train.scott.adversarialStart=8"],
    parts: ["train"],
    method: "scott",
    says: ["train.scott.adversarialStart=8", "train.steps=8"],
  },
  "train.scott.sampleGuidance & train.scott.guidance": {
    set: ["train.scott.guidanceInput=true", "train.scott.sampleGuidance=9"],
    parts: ["train"],
    method: "scott",
    says: ["train.scott.sampleGuidance=9", "train.scott.guidance=[1,1]"],
  },
  "train.instaflow.dropCondition & train.instaflow.pairGuidance": {
    set: ["train.instaflow.dropCondition=0"],
    parts: ["train"],
    method: "instaflow",
    says: ["train.instaflow.dropCondition=0", "train.instaflow.pairGuidance=1.5"],
  },
  "train.diffusion2gan.adapter & network.kind": {
    set: ['train.diffusion2gan.adapter={"only":["^final\\\\.","atention"]}'],
    parts: ["train"],
    says: ["train.diffusion2gan.adapter=", "network.kind=dit", '"atention" trains nothing', "no parameter", "name a group (attention, "],
  },
  "train.instaflow.adapter & network.kind": {
    set: ["network.kind=unet", 'train.instaflow.adapter={"lora":{"rank":2,"alpha":2,"targets":["conv","mlp"]}}'],
    parts: ["train"],
    method: "instaflow",
    says: ["train.instaflow.adapter=", "network.kind=unet", '"mlp" trains nothing', "no kernel", "name a group (attention, "],
  },
  "seed & train.instaflow.phase": {
    set: ["seed=9007199254740990"],
    parts: ["train"],
    method: "instaflow",
    says: ["seed=9007199254740990", "train.instaflow.phase=all"],
  },
  "train.hipa.targets & network.kind": {
    set: ['train.hipa.targets=["atention"]'],
    parts: ["train"],
    method: "hipa",
    says: ["train.hipa.targets=", "network.kind=dit", '"atention" trains nothing', "no kernel"],
  },
  "train.hipa.spatialWeight & train.hipa.highWeight & train.hipa.latentWeight": {
    set: ["train.hipa.spatialWeight=0", "train.hipa.highWeight=0"],
    parts: ["train"],
    method: "hipa",
    says: ["train.hipa.spatialWeight=0", "train.hipa.highWeight=0", "train.hipa.latentWeight=0"],
  },
  "train.layton.featureWeight & train.layton.latentWeight": {
    set: ["train.layton.featureWeight=0", "train.layton.latentWeight=0"],
    parts: ["train"],
    method: "layton",
    says: ["train.layton.featureWeight=0", "train.layton.latentWeight=0", "nothing is left to learn a picture from"],
  },
  "train.yoso.adversarialWeight & train.yoso.consistencyWeight & train.yoso.anchorWeight": {
    set: ["adversarialWeight=0", "consistencyWeight=0", "anchorWeight=0"].map((setting) => `train.yoso.${setting}`),
    parts: ["train"],
    method: "yoso",
    says: ["adversarialWeight=0", "consistencyWeight=0", "anchorWeight=0"],
  },
  "train.yoso.vSteps & train.yoso.zeroSteps & train.steps": {
    set: ["train.yoso.adapt=v-zero", "train.yoso.vSteps=6"],
    parts: ["train"],
    method: "yoso",
    says: ["train.yoso.vSteps=6", "train.yoso.zeroSteps=2", "train.steps=8"],
  },
  "train.yoso.discriminatorDepth & network.depth": {
    set: ["train.yoso.discriminatorDepth=5"],
    parts: ["train"],
    method: "yoso",
    says: ["train.yoso.discriminatorDepth=5", "network.depth=2"],
  },
  "train.yoso.adapter & network.kind": {
    set: ['train.yoso.adapter={"only":["atention"]}'],
    parts: ["train"],
    method: "yoso",
    says: ["train.yoso.adapter=", "network.kind=dit", '"atention" trains nothing'],
  },
  "train.yoso.adapter & train.yoso.from": {
    set: ['train.yoso.adapter={"only":["final"]}', "train.yoso.from=scratch"],
    parts: ["train"],
    method: "yoso",
    says: ["train.yoso.adapter=", "train.yoso.from=scratch"],
  },
  "diffusion.sigmaMin & diffusion.sigmaMax": {
    set: ["diffusion.sigmaMin=80"],
    parts: ["teacher"],
    says: ["diffusion.sigmaMin=80", "diffusion.sigmaMax=80"],
  },
  "train.method & train.perceptual": {
    set: ["train.diffusion2gan.discriminator=features"],
    parts: ["train"],
    says: ["train.method=diffusion2gan", "train.perceptual (not set)", "or set train.diffusion2gan.discriminator=teacher"],
  },
  "train.stepsPerShard & train.steps & simulate.count & simulate.rowsPerShard": {
    set: ["train.stepsPerShard=100"],
    parts: everyPart,
    says: ["train.stepsPerShard=100", "train.steps=8", "simulate.count=32", "simulate.rowsPerShard=8", "of 4 shards only 1"],
  },
  "simulate.count & simulate.rowsPerShard": {
    set: ["simulate.count=9007199254740991", "simulate.rowsPerShard=8"],
    parts: ["simulate"],
    says: ["simulate.count=9007199254740991", "simulate.rowsPerShard=8", "1125899906842624 shards"],
  },
  "seed & evaluate.seeds": {
    set: ["seed=9007199254740991", "evaluate.seeds=3"],
    parts: ["evaluate"],
    says: ["seed=9007199254740991", "evaluate.seeds=3", "below 2^53"],
  },
};

/** Settings without effect, by path, and what makes them so. */
const idle: Record<string, Case> = {
  "encoder.path": { set: ["encoder.path=somewhere"], parts: ["encode"] },
  "network.multipliers": { set: ["network.multipliers=[1,2]"], parts: ["teacher"] },
  "network.attentionLevels": { set: ["network.attentionLevels=[0]"], parts: ["teacher"] },
  "network.patch": { set: ["network.kind=unet", "network.patch=2"], parts: ["teacher"] },
  "network.vocabulary": { set: ["network.vocabulary=100"], parts: ["teacher"] },
  "network.captionTokens": { set: ["network.captionTokens=9"], parts: ["teacher"] },
  "network.guidance": { set: ["network.guidance=true"], parts: ["teacher"] },
  "network.textDepth": { set: ["network.condition=none", "network.textDepth=9"], parts: ["teacher"] },
  "pretrain.teacher.patience": { set: ["pretrain.teacher.patience=3"], parts: ["teacher"] },
  "pretrain.teacher.distanceCount": { set: ["pretrain.teacher.distanceCount=99"], parts: ["teacher"] },
  "pretrain.teacher.distanceFeatures": { set: ["pretrain.teacher.distanceFeatures=builtin"], parts: ["teacher"] },
  "pretrain.teacher.dropCondition": { set: ["network.condition=none", "pretrain.teacher.dropCondition=0.2"], parts: ["teacher"] },
  "pretrain.prior.dropCondition": { set: ["network.condition=none", "pretrain.prior.dropCondition=0.2"], parts: ["prior"] },
  "pretrain.prior.guidance": { set: ["network.condition=none", "pretrain.prior.guidance=3"], parts: ["prior"] },
  "pretrain.prior.topK": { set: ["pretrain.prior.temperature=0", "pretrain.prior.topK=3"], parts: ["prior"] },
  "pretrain.tokenizer.perceptualWeight": { set: ["pretrain.tokenizer.perceptualWeight=2"], parts: ["tokenizer"] },
  "train.patience": { set: ["train.distanceEvery=0", "train.patience=3"], parts: ["train"] },
  "train.distanceCount": { set: ["train.distanceEvery=0", "train.distanceCount=3"], parts: ["train"] },
  "pretrain.teacher.distanceRecall": { set: ["pretrain.teacher.distanceRecall=true"], parts: ["teacher"] },
  "train.distanceRecall": { set: ["train.distanceEvery=0", "train.distanceRecall=true"], parts: ["train"] },
  "train.distanceFeatures": { set: ["train.distanceEvery=0", "train.distanceFeatures=auto"], parts: ["train"] },
  "train.images": { set: ["train.images=latents"], parts: ["train"], method: "instaflow" },
  "train.perceptual": { set: ["train.perceptual=run", "train.diffusion2gan.perceptualWeight=0"], parts: ["train"] },
  "train.features": { set: ["train.features=auto"], parts: ["train"] },
  "engine.precision": { set: ["engine.precision=half"], parts: ["train"] },
  ...Object.fromEntries(
    ["imageShare=1", "adversarialStart=1", "sharpen=2", "sharpenPart=0.1", "discriminatorRate=1", "mismatch=0", "r1Weight=2", "r1Every=3"]
      .concat(["discriminator=teacher", "discriminatorDepth=1", "noiseCondition=true", "discriminatorNoise=[1,2]", "scales=[1]"])
      .map((setting) => [
        `train.diffusion2gan.${setting.split("=")[0]}`,
        { set: ["train.diffusion2gan.adversarialWeight=0", `train.diffusion2gan.${setting}`], parts: ["train"] satisfies Part[] },
      ]),
  ),
  "train.diffusion2gan.augment": { set: ["train.diffusion2gan.perceptualWeight=0", "train.diffusion2gan.augment=false"], parts: ["train"] },
  "train.diffusion2gan.latentLoss": {
    set: ["train.diffusion2gan.latentWeight=0", "train.diffusion2gan.latentLoss=squared"],
    parts: ["train"],
  },
  "train.ema": { set: ["train.ema=0.9"], parts: ["train"], method: "d2o" },
  ...Object.fromEntries(
    [
      ["teacherDepth=2", "networks=[perceptual]"],
      ["teacherNoise=[0.1,1]", "networks=[perceptual]"],
      ["r1Every=3", "r1Weight=0"],
      ["r1On=features", "r1Weight=0"],
      ["policy=[color]", "augment=ada"],
      ["adaPipes=b", "augment=diffaugment"],
      ["adaTarget=0.5", "augment=none"],
      ["adaImages=9", "augment=none"],
    ].map(([setting, other]) => [
      `train.d2o.${setting!.split("=")[0]}`,
      {
        set: [`train.d2o.${other}`, `train.d2o.${setting}`, "train.perceptual=run"],
        parts: ["train"] satisfies Part[],
        method: "d2o",
      },
    ]),
  ),
  ...Object.fromEntries(
    ["reflows=2", "reflowSteps=9", "reflowRate=1", "pairSteps=4", "pairGuidance=2", "dropCondition=0.2", "squaredPart=0.1", "stack=2"].map(
      (setting) => [
        `train.instaflow.${setting.split("=")[0]}`,
        {
          set: [`train.instaflow.phase=${/^(squaredPart|stack)/.test(setting) ? "reflow" : "distil"}`, `train.instaflow.${setting}`],
          parts: ["train"] satisfies Part[],
          method: "instaflow",
        },
      ],
    ),
  ),
  ...ofHipa("spatialWeight=0", "spatial=lpips", "texture=0.1"),
  ...ofHipa("highWeight=0", "edgeWeight=2", "fourierWeight=2", "fourier=energies", "cutoff=0.1", "filter=box", "norm=squared"),
};

/** Settings of TLCM and SCott without effect: what makes them so, and other values of theirs. */
const ofConsistency: Record<string, string[]> = {
  "network.condition=none": ["tlcm.guidance=2", "scott.guidance=[1,2]", "scott.guidanceInput=true"],
  "train.tlcm.secondPart=1": ["tlcm.skip=0.1", "tlcm.skipSteps=3"],
  "train.tlcm.start=trajectory": ["tlcm.solver=ddim", "tlcm.teacherSteps=9", "tlcm.ownSteps=9"],
  "train.tlcm.lastPart=0": [
    ...["tlcm.matchingWeight=2", "tlcm.adversarialWeight=2", "tlcm.scoreRate=1", "tlcm.scoreUpdates=9", "tlcm.discriminatorRate=1"],
    ...["tlcm.discriminatorDepth=2", "tlcm.discriminatorNoise=[1,2]", "tlcm.realSteps=9"],
  ],
  "train.scott.eta=0": ["scott.noise=ddim"],
  "train.scott.weighting=uniform": ["scott.snrMost=9"],
  "train.scott.guidanceInput=false": ["scott.sampleGuidance=2"],
  "train.scott.adversarialWeight=0": [
    ...["scott.adversarialStart=1", "scott.discriminatorRate=1", "scott.discriminatorDepth=2", "scott.discriminatorNoise=[1,2]"],
    ...["scott.discriminatorRank=1", "scott.discriminatorTargets=[attention]"],
  ],
};
for (const [why, own] of Object.entries(ofConsistency)) {
  for (const setting of own) {
    const [path = ""] = setting.split("=");
    idle[`train.${path}`] = { set: [why, `train.${setting}`], parts: ["train"], method: path.split(".")[0] as string };
  }
}

/** Settings of HiPA that another makes idle. */
function ofHipa(because: string, ...settings: string[]): Record<string, Case> {
  const at = (setting: string): string => `train.hipa.${setting}`;
  return Object.fromEntries(
    settings.map((setting) => [
      at(setting.split("=")[0] as string),
      { set: [at(because), at(setting)], parts: ["train"] satisfies Part[], method: "hipa" },
    ]),
  );
}

/** Settings of YOSO, each with another that makes it idle. */
const idleOfYoso: [setting: string, because: string][] = [
  ["vSteps=3", "adapt=none"],
  ["zeroSteps=3", "adapt=v"],
  ["adversarial=data", "adversarialWeight=0"],
  ["cooperation=0.5", "adversarialWeight=0"],
  ["averageLogits=true", "adversarialWeight=0"],
  ["discriminatorRate=1", "adversarialWeight=0"],
  ["discriminatorDepth=1", "adversarialWeight=0"],
  ["r1Weight=1", "adversarialWeight=0"],
  ["r1Every=2", "adversarialWeight=0"],
  ["consistencyLoss=squared", "consistencyWeight=0"],
  ["consistencyStep=0.1", "consistencyWeight=0"],
  ["consistencyMost=1", "consistencyWeight=0"],
  ["augment=true", "consistencyWeight=0"],
  ["anchorMost=1", "anchorWeight=0"],
];
for (const [setting, because] of idleOfYoso) {
  const set = [`train.yoso.${because}`, `train.yoso.${setting}`];
  idle[`train.yoso.${setting.split("=")[0]}`] = { set, parts: ["train"], method: "yoso" };
}

for (const [phase, settings] of [
  ["pixel", ["diffusionSteps=5", "diffusionRate=1"]],
  ["diffusion", ["calls=3", "featureWeight=2", "latentWeight=2"]],
] as const) {
  for (const setting of settings) {
    const set = [`train.layton.phase=${phase}`, `train.layton.${setting}`];
    idle[`train.layton.${setting.split("=")[0]}`] = { set, parts: ["train"], method: "layton" };
  }
}

/** More ways in which settings named above are idle. */
const idleToo: [path: string, at: Case][] = [
  [
    "train.diffusion2gan.scales",
    { set: ["train.perceptual=run", "train.diffusion2gan.discriminator=features", "train.diffusion2gan.scales=[3]"], parts: ["train"] },
  ],
  ["train.diffusion2gan.discriminatorDepth", { set: ["network.kind=unet", "train.diffusion2gan.discriminatorDepth=2"], parts: ["train"] }],
  ["train.diffusion2gan.r1Every", { set: ["train.diffusion2gan.r1Weight=0", "train.diffusion2gan.r1Every=2"], parts: ["train"] }],
  ["train.diffusion2gan.sharpenPart", { set: ["train.diffusion2gan.sharpenPart=0.1"], parts: ["train"] }],
  ["train.diffusion2gan.imageShare", { set: ["train.diffusion2gan.imageShare=0.5"], parts: ["train"] }],
  [
    "train.instaflow.pairGuidance",
    { set: ["network.condition=none", "train.instaflow.pairGuidance=2"], parts: ["train"], method: "instaflow" },
  ],
  [
    "train.instaflow.reflowSteps",
    { set: ["train.instaflow.phase=reflow", "train.instaflow.reflowSteps=2"], parts: ["train"], method: "instaflow" },
  ],
  ["train.d2o.teacherDepth", { set: ["network.kind=unet", "train.d2o.teacherDepth=2"], parts: ["train"], method: "d2o" }],
  ["train.instaflow.pairSteps", { set: ["train.instaflow.pairSteps=2"], parts: ["train"] }],
  ...Object.entries({
    "start=images": "ownSteps=9",
    "start=trajectory": "skip=0.1",
    "matchingWeight=0": "scoreRate=1",
    "adversarialWeight=0": "discriminatorRate=1",
  }).map(([why, setting]): [string, Case] => [
    `train.tlcm.${setting.split("=")[0]}`,
    { set: [`train.tlcm.${why}`, `train.tlcm.${setting}`], parts: ["train"], method: "tlcm" },
  ]),
  ["train.tlcm.realSteps", { set: ["train.tlcm.start=images", "train.tlcm.realSteps=9"], parts: ["train"], method: "tlcm" }],
  ["train.scott.discriminatorDepth", { set: ["network.kind=unet", "train.scott.discriminatorDepth=2"], parts: ["train"], method: "scott" }],
  ["train.tlcm.discriminatorDepth", { set: ["network.kind=unet", "train.tlcm.discriminatorDepth=2"], parts: ["train"], method: "tlcm" }],
  [
    "train.tlcm.teacherSteps",
    { set: ["train.tlcm.secondPart=0", "train.tlcm.lastPart=0", "train.tlcm.teacherSteps=9"], parts: ["train"], method: "tlcm" },
  ],
  ["train.hipa.texture", ofHipa("spatial=lpips", "texture=0.1")["train.hipa.texture"] as Case],
  ["train.hipa.filter", ofHipa("fourier=energies", "filter=box")["train.hipa.filter"] as Case],
  ["train.features", { set: ["train.hipa.spatialWeight=0", "train.features=auto"], parts: ["train"], method: "hipa" }],
  [
    "train.yoso.vSteps",
    { set: ["train.yoso.adapt=v", "train.yoso.from=scratch", "train.yoso.vSteps=3"], parts: ["train"], method: "yoso" },
  ],
  ["train.yoso.augment", { set: ["train.yoso.consistencyLoss=squared", "train.yoso.augment=true"], parts: ["train"], method: "yoso" }],
  ["train.yoso.r1Every", { set: ["train.yoso.r1Weight=0", "train.yoso.r1Every=2"], parts: ["train"], method: "yoso" }],
  ["train.yoso.zeroSteps", { set: ["train.yoso.zeroSteps=3"], parts: ["train"], method: "yoso" }],
  ["train.yoso.cooperation", { set: ["train.yoso.adversarial=data", "train.yoso.cooperation=0.5"], parts: ["train"], method: "yoso" }],
  ["train.yoso.discriminatorDepth", { set: ["network.kind=unet", "train.yoso.discriminatorDepth=1"], parts: ["train"], method: "yoso" }],
  ["train.steps", { set: ["train.steps=5"], parts: ["encode"] }],
  ["network.width", { set: ["network.width=32"], parts: ["train"] }],
  ["pretrain.teacher.steps", { set: ["pretrain.teacher.steps=32"], parts: ["autoencoder"] }],
];

test("every rule fires: one sentence that names the settings and their values", () => {
  for (const [key, { says, ...at }] of Object.entries(refused)) {
    const { refusals, warnings, rules } = examined(at);
    const isWaste = rules.some((one) => one.isWaste && one.settings.join(" & ") === key);
    const told = isWaste ? warnings.map((text) => `Cannot use ${text}`) : refusals;
    const [sentence = "", ...more] = told.filter((text) => says.every((words) => text.includes(words)));
    assert.is(more.length, 0, key);
    assert.match(sentence, /^Cannot use \S+ with .+: .+[^.]$/, `${key}: ${refusals}`);
    assert.not.match(sentence, /\n|undefined|NaN|Infinity/);
    const rule = rules.find((one) => one.settings.join(" & ") === key && one.why() !== undefined);
    assert.ok(rule, `${key} is no rule, or does not fire`);
  }
});

test("every setting without effect is told, where the user asked for it alone", () => {
  for (const [path, at] of [...Object.entries(idle), ...idleToo]) {
    const told = (warnings: string[]): string[] => warnings.filter((text) => text.startsWith(`${path}=`) && text.includes("has no effect"));
    const { refusals, warnings } = examined(at);
    assert.equal(refusals, [], path);
    assert.is(told(warnings).length, 1, `${path}: ${warnings}`);
    assert.equal(told(examined({ ...at, unasked: true }).warnings), [], path);
  }
});

test("no rule stands outside these tables", () => {
  const keys = { fit: new Set<string>(), idle: new Set<string>() };
  for (const method of methodNames()) {
    for (const kind of familyNames) {
      const { rules } = examined({ set: [`network.kind=${kind}`], parts: everyPart, method });
      for (const rule of rules) {
        if (rule.kind === "fit") keys.fit.add(rule.settings.join(" & "));
        else for (const path of rule.settings) keys.idle.add(path);
      }
    }
  }
  const missing = {
    fit: [...keys.fit].filter((key) => !(key in refused)),
    idle: [...keys.idle].filter((path) => !(path in idle)),
  };
  // The autoencoder, perceptual network, image tokenizer and prior are not measured on their way, so nothing of it can be asked for them.
  const unmeasured = /^pretrain\.(autoencoder|perceptual|tokenizer|prior)\.(keep|distance\w+|patience)/;
  assert.equal(
    missing.fit.filter((key) => !unmeasured.test(key)),
    [],
  );
  assert.equal(
    missing.idle.filter((path) => !unmeasured.test(path)),
    [],
  );
});

test("what a default set is a warning, or nothing, where a wish would be refused", () => {
  const steps = examined({ set: ["train.steps=3", "train.diffusion2gan.adversarialStart=2"], preset: "smoke", parts: ["train"] });
  assert.equal(steps, { ...steps, refusals: [], warnings: [] });
  const { refusals, warnings } = examined({ set: ["train.steps=1", "train.diffusion2gan.adversarialStart=0"], parts: ["train"] });
  assert.equal(refusals, []);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /^train\.warmup=2 with train\.steps=1: the learning rate never rises/);
  const untouched = examined({ set: [], preset: "smoke", parts: ["autoencoder", "perceptual"] });
  assert.equal([untouched.refusals, untouched.warnings], [[], []]); // its trainings are shorter than the default warm-up
  const quiet = examined({ set: ["train.distanceEvery=0"], parts: ["train"] });
  assert.equal([quiet.refusals, quiet.warnings], [[], []]);
});

test("a recorded file of settings is a wish only where it changes something", () => {
  const record: Layer = { source: "settings.yaml", asked: "file", values: resolveSettings([presetLayer("smoke")]) };
  assert.is(wishesOf([presetLayer("smoke"), record]).size, 0);
  const changed = resolveSettings([presetLayer("smoke"), assignmentLayer("network.multipliers=[1]")]);
  assert.equal([...wishesOf([presetLayer("smoke"), { ...record, values: changed }])], [["network.multipliers", "file"]]);
});

test("every preset fits itself, with every method, network and condition, as a run and in its parts", () => {
  let looked = 0;
  for (const preset of presetNames()) {
    for (const method of methodNames()) {
      for (const kind of familyNames) {
        for (const condition of ["none", "class", "caption"]) {
          const settings: Settings = resolveSettings([
            ...[presetLayer(preset), methodLayer(method)],
            ...[assignmentLayer(`network.kind=${kind}`), assignmentLayer(`network.condition=${condition}`)],
          ]);
          const shape = shapeOf(settings) ?? [8, 8, 4]; // of 64 px through an encoder that is given
          const name = `${preset} ${method} ${kind} ${condition}`;
          const givenTeacher = partsOfRun(settings, { hasTeacher: true });
          for (const parts of [partsOfRun(settings, { hasTeacher: false }), givenTeacher, ...everyPart.map((part) => [part])]) {
            const { refusals } = examineFit({ settings, parts, shape });
            const wanted = refusals.filter((sentence) => !/train\.perceptual \(not set\)/.test(sentence)); // some presets name none
            assert.equal(wanted, [], name);
            looked++;
          }
        }
      }
    }
  }
  assert.ok(looked >= 5 * 2 * 2 * 3 * 9, `${looked}`);
  assert.throws(
    () => checkFit({ settings: resolveSettings([presetLayer("smoke"), assignmentLayer("train.accumulate=3")]), parts: ["train"] }),
    (error: Error & { exitCode?: number }) => error.exitCode === 2 && /train\.accumulate=3/.test(error.message),
  );
});

test.run();
