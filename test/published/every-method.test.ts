/**
 * Every kind of published network distilled for ten steps: whole by Diffusion2GAN, as a LoRA by YOSO, and for few calls by TLCM. Each
 * goes by one of them in turn, for its programs take long to compile; ONESTEP_STUDENTS=all goes by all, =sd15,edm those networks by all,
 * =sdxl:yoso one by one.
 */
import { hashWeights } from "../../engine/weights.ts";
import { familyOf } from "../../models/families/registry.ts";
import { readLora } from "../../stages/runs/lora.ts";
import { assert, suite } from "../harness.ts";
import { arePipelines } from "./denoisers.ts";
import { distilled, type Form, groundOf, STEPS } from "./distilled.ts";

const test = suite("every method on every published network");

/**
 * Sides of latents, and the method in turn. Stable Diffusion's U-Nets, whose programs have the most nodes, have none: one of them is
 * distilled in text-students.test.ts. Their middle must see more than one pixel, for attention to have something to choose from.
 */
const pipelines: Record<string, { side: number; usual?: Form }> = {
  ddpm: { side: 8, usual: "yoso" },
  dit: { side: 4, usual: "tlcm" },
  edm: { side: 8, usual: "yoso" },
  flux: { side: 4, usual: "diffusion2gan" },
  pixart: { side: 4, usual: "diffusion2gan" },
  sd15: { side: 16 },
  sd21v: { side: 16 },
  sd3: { side: 4, usual: "tlcm" },
  sdxl: { side: 8 },
};

/** Figures that some step has where every part of the method has played. */
const figuresOf: Record<Form, string[]> = {
  diffusion2gan: ["latent", "adversarial", "d_loss", "r1"],
  yoso: ["consistency", "anchor", "adversarial", "d_loss"],
  tlcm: ["segments", "whole"],
};

/** Of sd3's last block what texts ask for: their answer is nobody's input (../shared/pipelines/README.md). */
const INERT = /^transformer_blocks\.2\.attn\.add_q_proj\./;

const asked = (process.env.ONESTEP_STUDENTS ?? "").split(",");
const isFinite = (values: Iterable<number>): boolean => Array.from(values).every(Number.isFinite);

for (const [name, { side, usual }] of Object.entries(pipelines)) {
  let ground: ReturnType<typeof groundOf> | undefined;
  for (const form of Object.keys(figuresOf) as Form[]) {
    const title = `${name}: ten steps by ${form}`;
    if (!arePipelines()) test.skip(title, "there is no ../shared/pipelines");
    else if (asked[0] === "" ? form === usual : ["all", name, `${name}:${form}`].some((word) => asked.includes(word)))
      test(title, async () => holdToTraining(await (ground ??= groundOf(name, side)), form), { seconds: 1200 });
  }
}
if (!asked.includes("all")) test.skip("the other methods of each network", "slow; ONESTEP_STUDENTS=all runs them");

/** Fails unless the method's parts have all played, the student alone has learned, and draws something. */
async function holdToTraining(ground: Awaited<ReturnType<typeof groundOf>>, form: Form): Promise<void> {
  const started = process.cpuUsage();
  const { teacher } = ground;
  const { student, out, figures, samples, teacherHash } = await distilled(ground, form);
  assert.is(figures.length, STEPS);
  assert.ok(figures.every((step) => isFinite(Object.values(step))));
  for (const figure of figuresOf[form])
    assert.ok(
      figures.some((step) => figure in step),
      `no step has ${figure}`,
    );
  assert.ok(samples.length > 0 && isFinite(samples), "its samples are finite");
  assert.is(teacherHash, hashWeights(teacher.weights), "the teacher is as it was");

  const moved = Object.entries(teacher.weights).flatMap(([of, { data }]) => {
    const now = student.weights[of]!.data;
    return data.some((value, i) => !Object.is(value, now[i])) ? [of] : [];
  });
  if (form === "yoso") {
    const { attention } = familyOf(teacher.description.spec).groups;
    assert.equal(
      moved,
      Object.keys(teacher.weights).filter((of) => of.endsWith(".kernel") && attention!.test(of) && !INERT.test(of)),
    );
    assert.is((await readLora(out)).base, teacherHash);
  } else {
    const still = Object.keys(teacher.weights).filter((of) => !moved.includes(of));
    assert.ok(still.length < 0.05 * moved.length, `these did not learn: ${still.join(", ")}`);
  }
  if (process.env.ONESTEP_SAY) {
    const { user, system } = process.cpuUsage(started);
    console.error(out, ((user + system) / 1e6).toFixed(1), "s of CPU", JSON.stringify(figures.at(-1)));
  }
}

test.run();
