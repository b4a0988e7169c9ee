/** Published schedulers: against the golden vectors, against diffusers' own code where there are none, and what is refused. */
import { evenShares, type FlowGiven } from "../../models/diffusion/published-flow.ts";
import { publishedSchedule, scheduleJson } from "../../models/diffusion/published-schedule.ts";
import { scheduleParity } from "../../stages/published/schedules.ts";
import { assert, suite } from "../harness.ts";
import { holdToParity } from "./golden.ts";

const test = suite("published schedules");

/** What golden.json compares of each pipeline. */
const COMPARED = { sd15: 135, sd21v: 50, sdxl: 32, pixart: 20, sd3: 15, flux: 18, ddpm: 30, dit: 15 };
for (const [pipeline, count] of Object.entries(COMPARED)) {
  holdToParity(test, { pipeline, what: "schedules agree", count, parity: scheduleParity });
}

const schedule = (className: string, config: object = {}) =>
  publishedSchedule({ json: { _class_name: className, ...config }, file: "scheduler_config.json" });
const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" };

/** What the schedulers of diffusers 0.42.1 answered, run with numpy in PyTorch's place. */
interface Answer {
  className: string;
  config: object;
  steps: number;
  given?: FlowGiven;
  timesteps: number[];
  sigmas?: number[];
  initNoiseSigma?: number;
}
const answers: Answer[] = [
  {
    className: "EulerAncestralDiscreteScheduler",
    config: { ...sd, timestep_spacing: "leading", steps_offset: 1 },
    steps: 4,
    timesteps: [751, 501, 251, 1],
    sigmas: [4.11669827, 1.62369299, 0.69839859, 0.041314479, 0],
    initNoiseSigma: 4.23641396,
  },
  {
    className: "EulerAncestralDiscreteScheduler",
    config: { ...sd, rescale_betas_zero_snr: true },
    steps: 4,
    timesteps: [999, 666, 333, 0],
    sigmas: [4095.99976, 3.50093532, 0.986896634, 0.0291675329, 0],
    initNoiseSigma: 4095.99976,
  },
  {
    className: "PNDMScheduler",
    config: { timestep_spacing: "linspace" },
    steps: 5,
    timesteps: [999, 849, 849, 749, 749, 600, 600, 500, 500, 350, 350, 250, 250, 0],
  },
  {
    className: "DPMSolverMultistepScheduler",
    config: { beta_schedule: "squaredcos_cap_v2", lambda_min_clipped: -5.1 },
    steps: 4,
    timesteps: [995, 746, 498, 249],
    sigmas: [160.413666, 2.40339327, 1.00923884, 0.424994707, 0],
  },
  {
    className: "DPMSolverMultistepScheduler",
    config: { ...sd, use_exponential_sigmas: true },
    steps: 4,
    timesteps: [998, 538, 52, 0],
    sigmas: [14.6146469, 1.84003234, 0.231666148, 0.0291675329, 0],
  },
  {
    className: "DPMSolverMultistepScheduler",
    config: { ...sd, timestep_spacing: "trailing", final_sigmas_type: "sigma_min" },
    steps: 4,
    timesteps: [999, 749, 499, 249],
    sigmas: [14.6146469, 4.08173084, 1.61288702, 0.693205416, 0.0291675329],
  },
  {
    className: "EulerDiscreteScheduler",
    config: { ...sd, timestep_spacing: "leading", use_karras_sigmas: true },
    steps: 4,
    timesteps: [750, 388.956146, 51.3346367, 0],
    sigmas: [4.09916592, 1.12293041, 0.228997901, 0.0291675329, 0],
    initNoiseSigma: 4.21937943,
  },
  {
    className: "EulerDiscreteScheduler",
    config: { ...sd, use_karras_sigmas: true, sigma_min: 0.01, sigma_max: 20 },
    steps: 4,
    timesteps: [999, 711.190063, 97.6481781, 0],
    sigmas: [20, 3.48814631, 0.338617593, 0.00999999978, 0],
    initNoiseSigma: 20,
  },
  {
    className: "FlowMatchEulerDiscreteScheduler",
    config: { shift: 3, shift_terminal: 0.1 },
    steps: 4,
    timesteps: [1000, 870.769226, 638.709656, 100],
    sigmas: [1, 0.870769203, 0.638709664, 0.100000001, 0],
  },
  {
    className: "FlowMatchEulerDiscreteScheduler",
    config: { use_dynamic_shifting: true, time_shift_type: "linear" },
    steps: 4,
    given: { mu: 0.8 },
    timesteps: [1000, 615.739624, 286.32663, 0.80016005],
    sigmas: [1, 0.615739644, 0.286326617, 0.000800160051, 0],
  },
  { className: "LCMScheduler", config: { original_inference_steps: 100 }, steps: 3, timesteps: [999, 669, 339] },
  { className: "DDIMScheduler", config: { timestep_spacing: "linspace" }, steps: 7, timesteps: [999, 832, 666, 500, 333, 166, 0] },
];
for (const { className, config, steps, given, timesteps, sigmas, initNoiseSigma = 1 } of answers) {
  test(`${className} with ${JSON.stringify(config)} is laid out as diffusers does`, () => {
    const visits = schedule(className, config).visits(steps, given);
    const shares = (found: number[], expected: number[]) =>
      found.map((value, i) => (value === expected[i] ? 1 : value / (expected[i] as number)));
    const ones = (numbers: number[]) => numbers.map(() => 1);
    assert.close(shares(visits.timesteps, timesteps), ones(timesteps), 1e-6, "times");
    if (sigmas) assert.close(shares(visits.sigmas, sigmas), ones(sigmas), 1e-6, "sigmas");
    assert.close(visits.initNoiseSigma / initNoiseSigma, 1, 1e-6, "initial noise");
  });
}

test("the patches of a picture decide a dynamic shift as mu does", () => {
  const flux = schedule("FlowMatchEulerDiscreteScheduler", { shift: 3, use_dynamic_shifting: true });
  assert.close(flux.visits(4, { tokens: 1024 }).sigmas, flux.visits(4, { mu: 0.63 }).sigmas, 1e-6);
  assert.throws(() => flux.visits(4), /neither the number of patches \(tokens\) nor mu is given/);
});

test("FLUX's own shares are even", () => {
  assert.close(evenShares(4), [1, 0.75, 0.5, 0.25], 1e-12);
});

test("every count of trailing steps gives as many, down to a step of training", () => {
  const ddim = schedule("DDIMScheduler", { timestep_spacing: "trailing" });
  for (let steps = 1; steps <= 1000; steps++) {
    const { timesteps } = ddim.visits(steps);
    assert.is(timesteps.length, steps);
    assert.ok(timesteps.every((time) => time >= 0 && time < 1000));
  }
});

test("only schedulers that add no noise follow the ODE", () => {
  const follow = ["DDIM", "PNDM", "EulerDiscrete", "DPMSolverMultistep", "FlowMatchEulerDiscrete"];
  for (const name of [...follow, "DDPM", "EulerAncestralDiscrete", "LCM"]) {
    assert.is(schedule(`${name}Scheduler`).isDeterministic, follow.includes(name), name);
  }
  assert.is(schedule("DPMSolverMultistepScheduler", { algorithm_type: "sde-dpmsolver++" }).isDeterministic, false);
  assert.is(schedule("FlowMatchEulerDiscreteScheduler", { stochastic_sampling: true }).isDeterministic, false);
});

test("walks of DDIM end without noise, or at the first step of training", () => {
  assert.is(schedule("DDIMScheduler", sd).visits(4).sigmas.at(-1), 0);
  assert.close(
    schedule("DDIMScheduler", { ...sd, set_alpha_to_one: false })
      .visits(4)
      .sigmas.at(-1) as number,
    0.0291675329,
    1e-8,
  );
  assert.is(schedule("DDIMScheduler", { ...sd, rescale_betas_zero_snr: true, timestep_spacing: "trailing" }).visits(1).sigmas[0], Infinity);
});

test("clipping and predictions are read", () => {
  assert.is(schedule("DDPMScheduler", { clip_sample_range: 2 }).clip, 2);
  assert.is(schedule("DDIMScheduler", { clip_sample: false }).clip, undefined);
  assert.is(schedule("DDIMScheduler", { prediction_type: "v_prediction" }).prediction, "v");
  assert.is(schedule("DDIMScheduler", { prediction_type: "sample" }).prediction, "clean");
  assert.is(schedule("FlowMatchEulerDiscreteScheduler").prediction, "velocity");
});

test("an infinity as Python writes it is read", () => {
  const text = '{"_class_name": "DPMSolverMultistepScheduler", "_note": "-Infinity \\" Infinity", "lambda_min_clipped": -Infinity}';
  assert.equal(scheduleJson({ text, file: "f" }), { _class_name: "DPMSolverMultistepScheduler", _note: '-Infinity " Infinity' });
  assert.throws(() => scheduleJson({ text: "[", file: "f" }), /Cannot read f: it is not a JSON object/);
});

test("a key of another scheduler is passed over; keys and values that nobody knows are refused by name", () => {
  schedule("EulerDiscreteScheduler", { ...sd, skip_prk_steps: true, set_alpha_to_one: false, clip_sample: false, sample_max_value: 1 });
  const refused = (className: string, config: object, message: RegExp) => assert.throws(() => schedule(className, config), message);
  refused("DDIMScheduler", { speed: 3 }, /Cannot use scheduler_config.json: speed: 3 is not understood/);
  refused("DDIMScheduler", { beta_schedule: "sigmoid" }, /beta_schedule: "sigmoid" is not understood/);
  refused("DDIMScheduler", { thresholding: true }, /thresholding: true is not understood/);
  refused("EulerDiscreteScheduler", { use_beta_sigmas: true }, /use_beta_sigmas: true is not understood/);
  refused("EulerDiscreteScheduler", { use_karras_sigmas: true, use_exponential_sigmas: true }, /use_exponential_sigmas: true is not/);
  refused("DDIMSchedular", {}, /of the class "DDIMSchedular", which is not known here; did you mean "DDIMScheduler"\?/);
});

test("impossible numbers of steps are refused", () => {
  assert.throws(() => schedule("DDIMScheduler").visits(0), /Cannot lay out 0 steps of a published schedule/);
  assert.throws(() => schedule("DDIMScheduler").visits(1001), /from 1 to 1000/);
  assert.throws(() => schedule("DDIMScheduler", { steps_offset: 1 }).visits(1000), /the time 1000 is beyond the 1000 of training/);
  assert.throws(() => schedule("LCMScheduler").visits(51), /it was distilled from 50/);
  assert.throws(() => schedule("PNDMScheduler").visits(3), /it takes at least 4/);
});
test.run();
