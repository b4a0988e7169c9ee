/** README.md beside an exported student: what it is, and the lines that draw with it. */
import { samplerInWords } from "../../../models/diffusion/sampler-plan.ts";
import type { DenoiserDescription } from "../../../schemas/model.ts";
import type { ModelFormat } from "./formats.ts";
import type { Asking } from "./scheduler.ts";

interface Exported {
  format: ModelFormat;
  description: DenoiserDescription;
  /** The class of the teacher's pipeline; "" of a network alone. */
  pipeline: string;
  /** Where it lies. */
  teacher: string;
  asking: Asking | undefined;
  version: string;
  /** Of a LoRA: what its products are multiplied by. */
  factor?: number;
}

/** The card's text, in Markdown. */
export function cardOf(exported: Exported): string {
  const { description, asking, teacher, version } = exported;
  const loras = description.source?.loras ?? [];
  const under = loras.map(({ path, scale }) => `${scale} x ${path}`).join(", ");
  const notes = [...(asking?.notes ?? []), ...(under ? [`Its teacher was the pipeline with LoRAs: ${under}.`] : [])];
  const code = asking ? ["", "```python", ...linesOf(exported, asking), "```"] : [];
  return [
    "# A distilled student",
    "",
    `${INTRO[exported.format]} It is asked by ${samplerInWords(description)}. Its teacher: \`${teacher}\`.`,
    ...code,
    "",
    ...[...elsewhere(exported), ...notes].map((note) => `- ${note}`),
    "",
    `Weights ${description.hash.slice(0, 12)}, written by onestep ${version}. The licence of the teacher's weights holds for it too.`,
    "",
  ].join("\n");
}

const INTRO: Record<ModelFormat, string> = {
  diffusers: "This folder is a whole pipeline of diffusers.",
  lora: "`pytorch_lora_weights.safetensors` is a LoRA with diffusers' and peft's names.",
  kohya: "`kohya.safetensors` is a LoRA with the names of kohya's trainer.",
  "single-file": "`model.safetensors` is a whole Stable Diffusion in the layout of the code that trained it.",
  safetensors: "`network.safetensors` is the network alone under its published names, `config.json` its config.",
};

/** Python that draws one picture. */
function linesOf({ format, pipeline, teacher, description }: Exported, { call, scheduler }: Asking): string[] {
  const { classes } = description.spec;
  const readsText = !/^(DDPM|DDIM|DiT)Pipeline$/.test(pipeline);
  const given = readsText ? ['"a prompt"'] : classes.length > 0 && pipeline === "DiTPipeline" ? ["class_labels=[0]"] : [];
  const asked = [...given, ...Object.entries(call).map(([name, value]) => `${name}=${value}`)].join(", ");
  const isLora = format === "lora" || format === "kohya";
  const load = {
    diffusers: ['pipe = DiffusionPipeline.from_pretrained("THIS FOLDER", torch_dtype=torch.float32)'],
    lora: [
      `pipe = DiffusionPipeline.from_pretrained(${JSON.stringify(teacher)}, torch_dtype=torch.float32)`,
      'pipe.load_lora_weights("THIS FOLDER")',
    ],
    kohya: [
      `pipe = DiffusionPipeline.from_pretrained(${JSON.stringify(teacher)}, torch_dtype=torch.float32)`,
      'pipe.load_lora_weights("THIS FOLDER", weight_name="kohya.safetensors")',
    ],
    "single-file": [`pipe = ${pipeline}.from_single_file("THIS FOLDER/model.safetensors", torch_dtype=torch.float32)`],
    safetensors: [],
  }[format];
  const own = format === "single-file" ? pipeline : "DiffusionPipeline";
  const apart = isLora || format === "single-file";
  return [
    "import torch", // without the type parts come as they are stored, and those of two kinds do not go together
    `from diffusers import ${own}${apart ? `, ${scheduler._class_name}` : ""}`,
    ...load,
    ...(apart ? [`pipe.scheduler = ${scheduler._class_name}.from_pretrained("THIS FOLDER", subfolder="scheduler")`] : []),
    `picture = pipe(${asked}).images[0]`,
  ];
}

/** What other programs are told. */
function elsewhere({ format, asking, factor = 1 }: Exported): string[] {
  if (!asking || format === "diffusers" || format === "safetensors") return [];
  const { num_inference_steps: steps, sigmas, timesteps, guidance_scale: guidance = "1" } = asking.call;
  const calls = steps ?? String(timesteps ? timesteps.split(",").length : (sigmas?.split(",").length ?? 2) - 1);
  const sampler = asking.scheduler._class_name === "LCMScheduler" ? "lcm" : "euler";
  const comfy = `In ComfyUI: sampler ${sampler}, scheduler sgm_uniform, steps ${calls}, CFG ${guidance}.`;
  if (format !== "lora" || factor === 1) return [comfy];
  return [
    comfy,
    `Programs that do not read alpha in the header want a strength of ${factor}; --format kohya says it in a way that all read.`,
  ];
}
