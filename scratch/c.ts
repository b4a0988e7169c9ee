import { createEngine } from "../engine/engine.ts";
import { tf } from "../engine/tfjs.ts";
export async function create(o: { dispose: boolean }) {
  const engine = await createEngine({ device: "cpu", threads: 2 });
  const set = engine.variables("w", { a: { shape: [512, 512], data: new Float32Array(512 * 512).fill(0.001) } });
  const p = await engine.compile({ name: "p", sets: { set }, inputs: { x: { shape: [512, 512] } }, run: ({ set }, { x }) => { let y = x!; for (let i = 0; i < 40; i++) y = tf.matMul(y, set.a!); return { outputs: { y } }; } });
  return { run: async () => (await p.run({ x: new Float32Array(512 * 512) })).y!.length, dispose: async () => { if (o.dispose) await engine.dispose(); } };
}
