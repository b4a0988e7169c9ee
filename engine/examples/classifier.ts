/**
 * Tells bars that stand from bars that lie in 8 x 8 pictures: one program trains, another predicts with the same
 * variables, which are saved and loaded in between. Run: npx tsx engine/examples/classifier.ts
 */
import { createEngine } from "../engine.ts";
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor, type Scalar, type Tensor1D, type Tensor4D } from "../tfjs.ts";

const [BATCH, SIDE, images] = [32, 8, { shape: [32, 8, 8, 1] }];

/** Batch `index`: pictures with one bright row (class 0) or column (class 1) under noise. */
function pictures(index: number): { x: Float32Array; label: Int32Array } {
  const draw = uniforms({ seed: 1, stream: "bars", offset: 2 * BATCH * index, length: 2 * BATCH });
  const label = Int32Array.from({ length: BATCH }, (_, i) => (draw[2 * i]! < 0.5 ? 0 : 1));
  const x = normals({ seed: 1, stream: "noise", offset: BATCH * SIDE * SIDE * index, length: BATCH * SIDE * SIDE }).map((n) => 0.3 * n);
  for (let i = 0; i < BATCH; i++) {
    const at = Math.floor(draw[2 * i + 1]! * SIDE);
    for (let k = 0; k < SIDE; k++) x[(i * SIDE + (label[i] ? k : at)) * SIDE + (label[i] ? at : k)]! += 1;
  }
  return { x, label };
}

/** Logits [batch, 2] of pictures [batch, side, side, 1]. */
const classify = (p: Record<string, Tensor>, x: Tensor): Tensor =>
  tf.matMul(tf.mean(tf.relu(tf.conv2d(x as Tensor4D, p.kernel as Tensor4D, 1, "valid")), [1, 2]), p.head!);

/** The share of pictures never trained on that are told right. */
export async function trainClassifier({ steps = 150 } = {}): Promise<number> {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const random = (stream: string, length: number) => normals({ seed: 2, stream, length }).map((n) => 0.3 * n);
  const weights = { kernel: { shape: [5, 5, 1, 8], data: random("kernel", 200) }, head: { shape: [8, 2], data: random("head", 16) } };
  const model = engine.variables("model", weights);
  const train = await engine.compile({
    name: "train",
    sets: { model },
    inputs: { x: images, label: { shape: [BATCH], dtype: "int32" } },
    run: ({ model: { kernel, head } }, { x, label }) => {
      const wanted = tf.oneHot(label as Tensor1D, 2);
      const loss = (kernel: Tensor, head: Tensor): Scalar => tf.losses.softmaxCrossEntropy(wanted, classify({ kernel, head }, x!));
      const { value, grads } = tf.valueAndGrads(loss as never)([kernel!, head!]);
      const next = [kernel!, head!].map((old, i) => tf.sub(old, tf.mul(grads[i]!, 0.5)));
      return { outputs: { loss: value }, updates: { model: { kernel: next[0]!, head: next[1]! } } };
    },
  });
  for (let i = 0; i < steps; i++) await train.run(pictures(i), { outputs: [] });
  const resumed = engine.variables("resumed", weights); // as from a checkpoint
  await resumed.load(await model.read());
  const predict = await engine.compile({
    name: "predict",
    sets: { model: resumed },
    inputs: { x: images },
    run: ({ model: parameters }, { x }) => ({ outputs: { label: tf.argMax(classify(parameters, x!), -1) } }),
  });
  const { x, label } = pictures(1e6);
  const found = (await predict.run({ x })).label;
  await engine.dispose();
  return label.filter((right, i) => found![i] === right).length / BATCH;
}

if (process.argv[1] === import.meta.filename) console.log(`told right: ${100 * (await trainClassifier())} %`);
