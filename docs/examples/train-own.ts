// A teacher of the pictures in `latents`, triples of it, and a student by the method beside this file.
import { pretrain, sample, simulate, train } from "onestep";

const job = { preset: "smoke" };
const method = new URL("own-method.ts", import.meta.url);

await pretrain({ ...job, what: "teacher", data: "latents", out: "teacher" });
await simulate({ ...job, teacher: "teacher", out: "triples" });
await train({ ...job, teacher: "teacher", store: "triples", method, out: "student" });
const pictures = await sample({ ...job, model: "student", count: 4 });
console.log(`${pictures.length} pictures of ${pictures[0]?.width} x ${pictures[0]?.height}`);
