/** What a distillation would take, told from configs and headers: counts that everybody knows, closed forms, and the refusal. */
import { existsSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createPlanner } from "../../engine/planner.ts";
import { tf } from "../../engine/tfjs.ts";
import { countWeights, shapesAlone } from "../../engine/weights.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { assignmentLayer, methodLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { totalOf } from "../../stages/doctor/memory.ts";
import { planFor, reportPlan } from "../../stages/doctor/plan.ts";
import { planTraining } from "../../stages/doctor/training.ts";
import { describePublished } from "../../stages/published/describe.ts";
import { planDenoiser, readDenoiser } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { listening } from "../inspect/fixture.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { writePipeline } from "./full-size.ts";
import { pipelines } from "./golden.ts";

const test = suite("what a distillation takes");

/** Each takes a few seconds where nothing else runs. */
const LIMIT = { seconds: 240 };

/** As published: of Stable Diffusion's and SDXL's U-Nets, CLIP's text encoder and the autoencoder, to the last one. */
const KNOWN = {
  sd15: "859520964",
  sdxl: "2567463684",
  vae: "83653863",
  clip: "123060480",
  "clip-g": "694659840",
  "t5-xxl": "4762310656",
};

test(
  "full-size models have as many parameters as everybody knows, by their headers",
  async () => {
    const folder = freshFolder();
    await writePipeline(folder, { kind: "StableDiffusionPipeline", parts: { unet: "sd15", vae: "vae", text_encoder: "clip" } });
    const countsIn = async (at: string) =>
      Object.fromEntries((await describePublished(at)).parts.map(({ part, parameters }) => [part, parameters]));
    const found = await countsIn(folder);
    assert.equal([found.unet, found.vae, found.text_encoder], [KNOWN.sd15, KNOWN.vae, KNOWN.clip]);
    const larger = freshFolder();
    const parts = { unet: "sdxl", transformer: "pixart", text_encoder_2: "clip-g", text_encoder_3: "t5-xxl" };
    await writePipeline(larger, { kind: "StableDiffusionXLPipeline", parts });
    const counts = await countsIn(larger);
    assert.equal([counts.unet, counts.text_encoder_2, counts.text_encoder_3], [KNOWN.sdxl, KNOWN["clip-g"], KNOWN["t5-xxl"]]);
    const { transformer } = counts; // "0.6 B" (Chen et al. 2023), with the size's embeddings
    assert.ok(Math.abs(Number(transformer) / 610e6 - 1) < 0.005, transformer);
  },
  LIMIT,
);

test(
  "a full-size teacher is described from headers: nothing of its weights is read",
  async () => {
    const folder = freshFolder();
    await writePipeline(folder, { kind: "DiTPipeline", parts: { transformer: "dit", vae: "vae" } });
    const { teacher, codec } = await planDenoiser(folder);
    assert.ok(Object.values(teacher.weights).every(({ data }) => data.length === 0));
    assert.is(countWeights(codec.weights), Number(KNOWN.vae));
    assert.is(codec.description.imageSize, 256);
    // diffusers embeds time and class in each of the 28 blocks; the paper's network does so once: 675 million (Peebles & Xie 2023).
    const width = 1152;
    const embedding = 1001 * width + (256 * width + width) + (width * width + width);
    assert.is(Math.round((countWeights(teacher.weights) - 27 * embedding) / 1e6), 675);
  },
  LIMIT,
);

test(
  "a planned program costs what its shapes say",
  async () => {
    const { engine, costs } = createPlanner();
    const kernel = shapesAlone({ kernel: { shape: [3, 3, 16, 20] } });
    await engine.compile({
      name: "convolution",
      sets: { network: engine.constants("network", kernel) },
      inputs: { x: { shape: [2, 6, 7, 16] } },
      run: ({ network }, { x }) => ({ outputs: { y: tf.conv2d(x as never, network.kernel as never, 2, "same") } }),
    });
    assert.is(costs[0]!.convolutions, 2 * (2 * 3 * 4 * 20) * (3 * 3 * 16));
    const program = await engine.compile({
      name: "copy",
      sets: {},
      inputs: { x: { shape: [2] } },
      run: (_, { x }) => ({ outputs: { y: tf.neg(x!) } }),
    });
    await assert.rejects(program.run({ x: Float32Array.of(1, 2) }), /Cannot run program "copy": it was planned/);
  },
  LIMIT,
);

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  const folder = join(pipelines, "dit");
  const asked = (...assignments: string[]) =>
    resolveSettings([
      methodLayer("tlcm"),
      ...["train.batch=64", "train.steps=4", "train.warmup=0", ...assignments].map((assignment) => assignmentLayer(assignment)),
    ]);

  test(
    "a LoRA's memory is its factors', and that of all the network's",
    async () => {
      const { context } = listening();
      const { teacher, codec } = await planDenoiser(folder);
      const lora = "train.tlcm.adapter={lora: {rank: 3, alpha: 3, targets: [attention]}}";
      const [all, low] = await Promise.all(
        [asked(), asked(lora)].map(async (settings) => (await planTraining({ teacher, codec, settings, context })).trainings[0]!),
      );
      const kernels = Object.entries(teacher.weights).filter(([name]) => /\.attn1\..*\.kernel$/.test(name));
      const factors = kernels.reduce((sum, [, { shape }]) => sum + 3 * (shape[0]! + shape[1]!), 0);
      assert.equal([low!.trained, low!.frozen], [factors, countWeights(teacher.weights)]);
      assert.equal([all!.trained, all!.frozen], [countWeights(teacher.weights), 0]);
      // Two moments and an average, each in two buffers of float32.
      assert.equal([low!.memory.lora, low!.memory.moments, low!.memory.averages], [8 * factors, 16 * factors, 8 * factors]);
      assert.equal(all!.memory.moments, 16 * countWeights(teacher.weights));
      assert.is(low!.memory.gradients, 4 * factors);
    },
    LIMIT,
  );

  test(
    "micro-batches take less memory and run once for each",
    async () => {
      const { context } = listening();
      const { teacher, codec } = await planDenoiser(folder);
      const plan = async (accumulate: number) =>
        (await planTraining({ teacher, codec, settings: asked(`train.accumulate=${accumulate}`), context })).trainings[0]!;
      const [whole, parts] = [await plan(1), await plan(16)];
      assert.ok(parts.memory.activations < whole.memory.activations);
      const update = parts.programs.find(({ cost }) => cost.program.endsWith(": update"))!;
      const micro = parts.programs.find(({ cost }) => cost.program.endsWith(": micro-batch"))!;
      assert.is(micro.perStep, 16 * update.perStep);
      assert.ok(update.perStep > 0);
    },
    LIMIT,
  );

  test(
    "triples of a teacher that is told texts cost their encoders too, each text once",
    async () => {
      const { results, context } = listening();
      const told = join(pipelines, "sd15");
      const settings = resolveSettings([methodLayer("yoso"), assignmentLayer("train.yoso.data=teacher"), assignmentLayer("train.batch=4")]);
      const plan = await planFor({ ...(await planDenoiser(told)), settings, context });
      const [triples] = plan.plan.triples;
      const { tensors } = await readSafetensors(join(told, "text_encoder/model.safetensors"));
      const parameters = Object.entries(tensors).filter(([name]) => !name.endsWith("position_ids"));
      assert.is(triples!.texts!.parameters, countWeights(Object.fromEntries(parameters)));
      // Each of its 77 tokens through every kernel, and the scores and sums of attention, 77 by the width twice a layer.
      const kernels = parameters.filter(([name, { shape }]) => shape.length === 2 && !/embedding/.test(name));
      const layers = kernels.filter(([name]) => name.endsWith(".q_proj.weight"));
      const width = layers[0]![1].shape[0]!;
      const products = 2 * 77 * countWeights(Object.fromEntries(kernels)) + layers.length * 2 * (2 * 77 * 77 * width);
      assert.is(triples!.texts!.cost.products, products);
      await reportPlan({ plan, devices: [], settings, context, available: Number.POSITIVE_INFINITY });
      assert.ok(String(results.texts!.memory).endsWith("while texts are embedded"));
    },
    LIMIT,
  );

  test(
    "weights of which an element is not finite are refused by name when they are read",
    async () => {
      const copy = freshFolder();
      await cp(folder, copy, { recursive: true });
      const file = join(copy, "transformer/diffusion_pytorch_model.safetensors");
      const { tensors } = await readSafetensors(file);
      tensors["proj_out_1.bias"]!.data[3] = Number.NaN;
      await writeFile(file, encodeSafetensors({ tensors }));
      await assert.rejects(
        readDenoiser(copy),
        /Cannot use .*: element 3 of tensor "proj_out_1.bias" is not finite \(NaN\)\. Fetch it again/,
      );
    },
    LIMIT,
  );

  test(
    "what memory does not hold is refused with the numbers and with what would fit",
    async () => {
      const { results, tables, context } = listening();
      const settings = asked();
      const plan = await planFor({ ...(await planDenoiser(folder)), settings, context });
      const needed = totalOf(plan.plan.trainings[0]!.memory);
      await reportPlan({ plan, devices: [], settings, context, available: 2 * needed });
      assert.is(results.training!.method, "tlcm");
      assert.is(String(results.teacher!.parameters).replaceAll(",", ""), String(countWeights(plan.teacher.weights)));
      assert.is(tables.memory!.length, 8);
      const refusal = reportPlan({ plan, devices: [], settings, context, available: needed - 1 });
      await assert.rejects(
        refusal,
        /^Cannot train by tlcm on this machine: .* are available; it would fit with --set train\.(checkpointing|accumulate)=/,
      );
      const nothing = reportPlan({ plan, devices: [], settings, context, available: 1 });
      await assert.rejects(nothing, /are available; even with .*: take a smaller teacher or size/);
    },
    LIMIT,
  );
}

test.run();
