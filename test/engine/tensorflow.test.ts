/** Device "tensorflow" as the user builds it: what is said where it cannot be, and its products where ONESTEP_TENSORFLOW names a build. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { builtTensorflow, packageOf, tensorflowFolder } from "../../engine/tensorflow.ts";
import { tf, type Tensor, type Tensor5D } from "../../engine/tfjs.ts";
import { purposeOf, tensorflowOf } from "../../stages/doctor/find-tensorflow.ts";
import { assert, suite } from "../harness.ts";

const test = suite("tensorflow");
let folder = "";
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-tensorflow-"));
});
test.after.each(() => rm(folder, { recursive: true }));

test("a build is read from the folder that ONESTEP_TENSORFLOW names; a torn or absent one counts as none", async () => {
  assert.is(tensorflowFolder({ ONESTEP_TENSORFLOW: folder }), folder);
  assert.is(tensorflowFolder({ ONESTEP_CACHE: "off" }), undefined);
  assert.is(builtTensorflow(folder), undefined);
  await writeFile(join(folder, "built.json"), '{ "addon": "/a/tfjs_bind');
  assert.is(builtTensorflow(folder), undefined);
  const built = { addon: "/a/tfjs_binding.node", tensorflow: "/t", version: "2.21.0", isForGpu: false };
  await writeFile(join(folder, "built.json"), JSON.stringify(built));
  assert.equal(builtTensorflow(folder), built);
});

test("what is no Python, no wheel and no package's folder is refused with what to name", async () => {
  const find = (from: string): Promise<string> => tensorflowOf(from, { builds: folder, action: `Cannot build from "${from}"` });
  await assert.rejects(find(join(folder, "python")), /no such program.*name a Python, a wheel/);
  await assert.rejects(find(folder), /neither libtensorflow_cc\.so\.2 nor bin\/python/);
  await assert.rejects(find(join(folder, "a.whl")), /wheel cannot be read/);
  await writeFile(join(folder, "b.whl"), "no zip");
  await assert.rejects(find(join(folder, "b.whl")), /wheel cannot be unpacked.*tensorflow-cpu/);
  await mkdir(join(folder, "tensorflow"));
  await writeFile(join(folder, "tensorflow", "libtensorflow_cc.so.2"), "");
  assert.match(await find(join(folder, "tensorflow")), /tensorflow$/);
});

const takesAStep = async (): Promise<void> => {
  const x = Float32Array.from({ length: 2 * 6 * 6 * 3 }, (_, i) => Math.sin(i * 1.3));
  const w = Float32Array.from({ length: 3 * 3 * 3 * 4 }, (_, i) => Math.cos(i * 0.7));
  const results = [];
  for (const device of ["tensorflow", "cpu"] as const) {
    const engine = await createEngine({ device, threads: 1 });
    const program = await engine.compile({
      name: "convolution",
      sets: {},
      inputs: { x: { shape: [2, 6, 6, 3] }, w: { shape: [3, 3, 3, 4] } },
      run: (_, { x, w }) => {
        const loss = (f: Tensor): Tensor => tf.sum(tf.square(tf.conv2d(x as never, f as never, 2, "same")));
        const { value, grad } = tf.valueAndGrad(loss as never)(w as Tensor);
        return { outputs: { value, grad } };
      },
    });
    results.push(await program.run({ x, w }));
    await engine.dispose();
  }
  const [found, expected] = results as [Record<string, Float32Array>, Record<string, Float32Array>];
  const scale = Math.max(...(expected.grad as Float32Array).map(Math.abs));
  assert.close(
    (found.grad as Float32Array).map((v) => v / scale),
    (expected.grad as Float32Array).map((v) => v / scale),
    1e-5,
  );
};
test("what a TensorFlow was built for is what its package says, and without that what lies beside it", async () => {
  const place = join(folder, "site-packages/tensorflow");
  await mkdir(join(place, "python/platform"), { recursive: true });
  assert.equal(await purposeOf(place), { isForGpu: false, hasLibraries: false });
  const about = (isCuda: string) => `build_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('is_cuda_build', ${isCuda})])`;
  await writeFile(join(place, "python/platform/build_info.py"), about("True"));
  assert.equal(await purposeOf(place), { isForGpu: true, hasLibraries: false, cuda: "12.5.1" });
  await mkdir(join(folder, "site-packages/nvidia/cuda_runtime"), { recursive: true });
  assert.is((await purposeOf(place)).hasLibraries, true);
  await writeFile(join(place, "python/platform/build_info.py"), "build_info = collections.OrderedDict([('is_cuda_build', False)])");
  assert.is((await purposeOf(place)).isForGpu, false);
});

/** Where TensorFlow.js by itself takes other elements than TensorFlow: a filter of one element moved by two takes the first of each two. */
const takesTheFirst = async (device: "eager" | "cpu" | "tensorflow"): Promise<void> => {
  const engine = await createEngine({ device, threads: 1 });
  const program = await engine.compile({
    name: "strides",
    sets: {},
    inputs: { x: { shape: [1, 4, 1, 1, 1] }, w: { shape: [1, 1, 1, 1, 1] } },
    run: (_, given) => {
      const { x, w } = given as { x: Tensor5D; w: Tensor5D };
      const convolve = (t: Tensor5D): Tensor => tf.conv3d(t, w, 2, "same");
      return {
        outputs: {
          convolved: convolve(x),
          gradient: tf.grad((t) => tf.sum(convolve(t as Tensor5D)))(x),
          least: tf.neg(tf.maxPool3d(tf.neg(x), 1, 2, "same")),
          mean: tf.avgPool3d(x, 1, 2, "same"),
        },
      };
    },
  });
  const { convolved, gradient, least, mean } = await program.run({ x: Float32Array.of(1, 2, 3, 4), w: Float32Array.of(10) });
  await engine.dispose();
  assert.equal(
    [convolved, least, mean].map((values) => [...(values as Float32Array)]),
    [
      [10, 30],
      [1, 3],
      [1, 3],
    ],
  );
  assert.equal([...(gradient as Float32Array)], [10, 0, 10, 0]);
};
for (const device of ["eager", "cpu"] as const) {
  test(`a volume's windows begin at its first element on ${device}, where a filter is smaller than its stride`, () =>
    takesTheFirst(device));
}

/** What TensorFlow itself refuses of the kernels, in one sentence with the kernel's name, and what it lacks. */
const refusesByName = async (): Promise<void> => {
  const engine = await createEngine({ device: "tensorflow" });
  const tried = async (shape: number[], operation: (x: Tensor) => Tensor): Promise<void> => {
    const inputs = { x: { shape } };
    const program = await engine.compile({
      name: "tried",
      sets: {},
      inputs,
      run: (_, { x }) => ({ outputs: { y: operation(x as Tensor) } }),
    });
    await program.run({ x: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
  };
  const dilated = (x: Tensor): Tensor => tf.conv3d(x as Tensor5D, tf.ones([2, 1, 1, 1, 1]) as Tensor5D, 1, "same", "NDHWC", [2, 1, 1]);
  await assert.rejects(
    tried([1, 4, 1, 1, 1], dilated),
    /^Cannot run kernel "Conv3D" of x \[1,4,1,1,1\], filter .*"tensorflow": .*; use device "cpu"/,
  );
  await tried([1, 4, 4, 1], (x) => tf.depthwiseConv2d(x as never, tf.ones([2, 2, 1, 1]), [1, 2], 1));
  await engine.dispose();
};

const built = process.env.ONESTEP_TENSORFLOW === undefined ? undefined : builtTensorflow();
const isBuilt = built !== undefined && packageOf(built) !== undefined;
const onTensorflow = {
  "a built TensorFlow takes a step as the CPU does": takesAStep,
  "a volume's windows begin at its first element on TensorFlow": () => takesTheFirst("tensorflow"),
  "TensorFlow's refusals name the kernel": refusesByName,
};
for (const [name, body] of Object.entries(onTensorflow)) {
  if (isBuilt) test(name, body);
  else test.skip(name, "ONESTEP_TENSORFLOW names no build, or tfjs-node is not installed");
}

test.run();
