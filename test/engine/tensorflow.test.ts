/** Device "tensorflow" as the user builds it: what is said where it cannot be, and its products where ONESTEP_TENSORFLOW names a build. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { builtTensorflow, tensorflowFolder, tfjsNodeFolder } from "../../engine/tensorflow.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { tensorflowOf } from "../../stages/doctor/find-tensorflow.ts";
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
const isBuilt = process.env.ONESTEP_TENSORFLOW !== undefined && builtTensorflow() !== undefined && tfjsNodeFolder() !== undefined;
const step = "a built TensorFlow takes a step as the CPU does";
if (isBuilt) test(step, takesAStep);
else test.skip(step, "ONESTEP_TENSORFLOW names no build, or tfjs-node is not installed");

test.run();
