import { startCompute } from "../engine/compute.ts";
for (const dispose of [true, false]) {
  const c = await startCompute<any>({ module: new URL("./c.ts", import.meta.url), options: { dispose } });
  console.log(await c.call("run", 0));
  const t = c.call("run", 0).catch((e) => console.log("rejected", e.message));
  await c.call("dispose", 0).catch(console.log);
  await c.close(); await t;
  console.log("closed", dispose);
}
