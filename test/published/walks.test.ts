/** What published schedulers do in a step: against diffusers' own code, against the exact flow of a Gaussian, and what is refused. */
import { numbers } from "../../models/diffusion/arithmetic.ts";
import { integrate } from "../../models/diffusion/machine.ts";
import { scheduleOf, solverFor, trajectoryOf } from "../../models/diffusion/plan-schedule.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { publishedSchedule } from "../../models/diffusion/published-schedule.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";
import { denoiserOf, diffusionOf, noises, toy, walked, walkOf } from "./walking.ts";

const test = suite("published walks");

const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" };

const added = [0.7, -0.2, 0.5, -1.1];

/** Where diffusers 0.42.1 came to from the noises of walking.ts with its network (PyTorch, some of whose states are float32). */
const ends: [className: string, config: object, steps: number, ends: number[]][] = [
  ["DDIMScheduler", { ...sd }, 6, [-0.379172, -0.370587, -0.372639, -0.371563]],
  [
    "DDIMScheduler",
    { ...sd, clip_sample: false, timestep_spacing: "linspace", set_alpha_to_one: false },
    7,
    [-14.000269, -6.087987, -0.438705, 12.737137],
  ],
  [
    "DDIMScheduler",
    { ...sd, clip_sample: false, timestep_spacing: "trailing", prediction_type: "v_prediction", rescale_betas_zero_snr: true },
    5,
    [-0.49707, -0.395553, -0.293257, 0.331773],
  ],
  ["DDIMScheduler", { clip_sample_range: 0.5, prediction_type: "sample" }, 4, [-0.5, 0.5, 0.5, 0.5]],
  ["PNDMScheduler", { ...sd, skip_prk_steps: true, steps_offset: 1 }, 9, [-6.160535, -2.959999, -0.71651, 9.361932]],
  [
    "PNDMScheduler",
    { ...sd, skip_prk_steps: true, set_alpha_to_one: true, prediction_type: "v_prediction" },
    7,
    [-0.551006, -0.351137, -0.168784, 0.350493],
  ],
  ["PNDMScheduler", { ...sd, skip_prk_steps: true }, 1, [-1.5, -0.4, 0.3, 1.2]],
  ["PNDMScheduler", { ...sd, skip_prk_steps: true, timestep_spacing: "trailing" }, 6, [-16.305836, -4.597111, -0.393127, 14.541706]],
  ["PNDMScheduler", {}, 8, [-41.381972, -16.579851, -4.315959, 38.489289]],
  ["PNDMScheduler", { ...sd, prediction_type: "v_prediction" }, 5, [-0.520199, -0.361644, -0.135373, 0.289778]],
  ["EulerDiscreteScheduler", { ...sd, timestep_spacing: "leading", steps_offset: 1 }, 6, [-6.675172, -3.051589, -0.691344, 6.825746]],
  [
    "EulerDiscreteScheduler",
    { ...sd, use_karras_sigmas: true, prediction_type: "v_prediction", final_sigmas_type: "sigma_min" },
    6,
    [-0.560469, -0.460097, -0.292728, 0.478609],
  ],
  [
    "EulerDiscreteScheduler",
    { ...sd, rescale_betas_zero_snr: true, timestep_spacing: "trailing", prediction_type: "v_prediction" },
    4,
    [-0.46005, -0.395875, -0.333284, 0.319537],
  ],
  ["DPMSolverMultistepScheduler", { ...sd }, 6, [-18.092929, -6.23377, -0.500097, 15.029615]],
  ["DPMSolverMultistepScheduler", { ...sd }, 16, [-13.694439, -5.942066, -0.648976, 14.800478]],
  ["DPMSolverMultistepScheduler", { ...sd, solver_type: "heun", use_karras_sigmas: true }, 8, [-11.90208, -4.830533, -0.401763, 15.002706]],
  ["DPMSolverMultistepScheduler", { ...sd, solver_order: 3 }, 8, [-16.772901, -6.203932, -0.465566, 15.274043]],
  [
    "DPMSolverMultistepScheduler",
    { ...sd, solver_order: 3, lower_order_final: false, final_sigmas_type: "sigma_min", prediction_type: "v_prediction" },
    7,
    [-0.75007, -0.688414, -0.223789, 1.131216],
  ],
  ["DPMSolverMultistepScheduler", { ...sd, solver_order: 1, timestep_spacing: "leading" }, 5, [-6.631378, -3.006931, -0.692858, 6.784531]],
  [
    "DPMSolverMultistepScheduler",
    { ...sd, algorithm_type: "dpmsolver", final_sigmas_type: "sigma_min" },
    6,
    [-18.362719, -6.408589, -0.49056, 15.237497],
  ],
  [
    "DPMSolverMultistepScheduler",
    { ...sd, algorithm_type: "dpmsolver", final_sigmas_type: "sigma_min", solver_type: "heun", timestep_spacing: "trailing" },
    7,
    [-18.101568, -6.436176, -0.513568, 15.884221],
  ],
  [
    "DPMSolverMultistepScheduler",
    { ...sd, algorithm_type: "dpmsolver", final_sigmas_type: "sigma_min", solver_order: 3, euler_at_final: true },
    17,
    [-14.273987, -6.079797, -0.680723, 14.848216],
  ],
  ["FlowMatchEulerDiscreteScheduler", { shift: 3.0 }, 6, [-0.609389, -0.103467, 0.075358, 0.40299]],
  ["FlowMatchEulerDiscreteScheduler", { shift: 3.0, shift_terminal: 0.1 }, 4, [-0.609422, -0.090431, 0.065122, 0.387675]],
  ["DDPMScheduler", { variance_type: "fixed_small" }, 5, [-0.38693, -0.72787, -0.442994, -1.0]],
  [
    "DDPMScheduler",
    { variance_type: "fixed_large", clip_sample: false, timestep_spacing: "trailing", prediction_type: "v_prediction" },
    5,
    [0.325354, -0.433709, 0.093547, -1.148439],
  ],
  ["LCMScheduler", { clip_sample: true }, 4, [-0.335867, -0.771554, 0.616712, -1.0]],
];
for (const [className, config, steps, expected] of ends) {
  test(`${steps} steps of ${className} with ${JSON.stringify(config)} end where diffusers' do`, () => {
    const schedule = walkOf(className, config, steps);
    const denoise = denoiserOf(diffusionOf(className, config), toy);
    const found = noises.map((noise, i) => walked(schedule, denoise, noise, added[i]));
    assert.close(found, expected, 1e-4 * Math.max(...expected.map(Math.abs)));
  });
}

const gaussian = { mean: 0.4, std: 0.5 };
const ideal = (x: number, sigma: number): number => (gaussian.std ** 2 * x + sigma ** 2 * gaussian.mean) / (gaussian.std ** 2 + sigma ** 2);

/** The flow of a Gaussian keeps each point's standardised position. */
const exact = (x: number, from: number, to: number): number =>
  gaussian.mean + (x - gaussian.mean) * Math.sqrt((gaussian.std ** 2 + to ** 2) / (gaussian.std ** 2 + from ** 2));

/** So many steps of training that rounding to one of them is no error of the walk. */
const fine = { num_train_timesteps: 76_800, beta_start: 0.0001 / 76.8, beta_end: 0.02 / 76.8 };
const orders: [className: string, config: object, order: number][] = [
  ["DDIMScheduler", { ...fine, clip_sample: false }, 1],
  ["EulerDiscreteScheduler", { ...fine, timestep_spacing: "leading" }, 1],
  ["FlowMatchEulerDiscreteScheduler", {}, 1],
  ["DPMSolverMultistepScheduler", fine, 2],
  ["DPMSolverMultistepScheduler", { ...fine, solver_type: "heun" }, 2],
  ["DPMSolverMultistepScheduler", { ...fine, algorithm_type: "dpmsolver", final_sigmas_type: "sigma_min" }, 2],
  ["DPMSolverMultistepScheduler", { ...fine, solver_order: 3 }, 2], // as its first step is of first order
  ["DPMSolverMultistepScheduler", { ...fine, algorithm_type: "dpmsolver", final_sigmas_type: "sigma_min", solver_order: 3 }, 2],
  ["PNDMScheduler", { ...fine, skip_prk_steps: true }, 2], // Liu et al. 2022, section 3.4
  ["PNDMScheduler", fine, 2],
];
for (const [className, config, order] of orders) {
  test(`${className} with ${JSON.stringify(config)} has order ${order} on a Gaussian`, () => {
    const [coarse, half] = [48, 96].map((steps) => {
      const { stages, begins, start } = walkOf(className, config, steps);
      const begin = begins[(steps * 2) / 3]!; // where the flow is still smooth in the time
      const found = integrate({ plan: stages.slice(0, begin), x: start, denoise: ideal }, numbers);
      return found / exact(start, stages[0]!.sigma, stages[begin]!.sigma) - 1;
    }) as [number, number];
    assert.ok(Math.abs(half) < 4e-3, `${half}`);
    assert.close(Math.log2(coarse / half), order, 0.25);
  });
}

test("one step of a flow asks at pure noise and goes all the way", () => {
  const { stages, start, begins } = walkOf("FlowMatchEulerDiscreteScheduler", { shift: 3 }, 1);
  const denoise = denoiserOf(diffusionOf("FlowMatchEulerDiscreteScheduler", { shift: 3 }), (x, time) => 0.3 * x + time);
  assert.equal(begins, [0]);
  assert.close(integrate({ plan: stages, x: start * 0.7, denoise }, numbers), 0.7 - (0.3 * 0.7 + 1), 1e-6);
});

test("a schedule without terminal signal begins in pure noise, whose network is asked at the last step", () => {
  const config = { ...sd, rescale_betas_zero_snr: true, timestep_spacing: "trailing", prediction_type: "v_prediction", clip_sample: false };
  const { stages, start } = walkOf("DDIMScheduler", config, 1);
  const denoise = denoiserOf(diffusionOf("DDIMScheduler", config), (x, time) => -x * (time / 999));
  assert.close(integrate({ plan: stages, x: start * 0.7, denoise }, numbers), 0.7, 1e-6);
  const { sigmaMax, precondition } = createParameterisation(diffusionOf("DDIMScheduler", config));
  assert.close(precondition(sigmaMax, numbers).cIn * sigmaMax, 1, 1e-12);
  assert.is(precondition(sigmaMax, numbers).cNoise, 999);
});

test("steps of several calls begin where their first does", () => {
  assert.equal(walkOf("PNDMScheduler", { skip_prk_steps: true }, 4).begins, [0, 2, 3, 4]);
  assert.equal(walkOf("PNDMScheduler", {}, 5).begins, [0, 4, 8, 12, 13]);
});

const plan = { solver: "auto", steps: 3, guidance: 1 } as const;
const shape = [8, 12, 4];
const scheduled = (className: string, config = {}) => ({ shape, diffusion: diffusionOf(className, config) });

test("a published walk is what is walked unless another solver is named, where it follows an ODE", () => {
  const { diffusion } = scheduled("DDIMScheduler");
  assert.is(solverFor("auto", diffusion), "published");
  assert.is(solverFor("heun", diffusion), "heun");
  assert.is(solverFor("auto", settingsSchema.parse({}).diffusion), "heun");
  for (const name of ["DDPMScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler"]) {
    assert.is(solverFor("auto", scheduled(name).diffusion), "heun");
    assert.throws(
      () => scheduleOf({ ...plan, solver: "published" }, scheduled(name)),
      new RegExp(`^Cannot walk as ${name} does: its steps add noise, so no ODE leads .*; set simulate.solver to ddim,`),
    );
  }
  const own = { shape, diffusion: settingsSchema.parse({}).diffusion };
  assert.throws(() => scheduleOf({ ...plan, solver: "published" }, own), /the model has no scheduler_config.json/);
});

test("a flow's shift follows the size of the latents", () => {
  const flux = scheduled("FlowMatchEulerDiscreteScheduler", { shift: 3, use_dynamic_shifting: true });
  const { stages } = scheduleOf(plan, { shape, diffusion: { ...flux.diffusion, flow: { patch: 2, isEven: true } } });
  const factor = Math.exp(0.5 + (0.65 * (24 - 256)) / (4096 - 256));
  const shifted = [1, 2 / 3, 1 / 3].map((share) => factor / (factor + 1 / share - 1));
  assert.close(
    stages.map(({ time }) => time!),
    shifted,
    1e-6,
  );
});

test("states that are kept lie at the times of their steps, and the first is noise of the walk's own deviation", () => {
  const { diffusion } = scheduled("PNDMScheduler", { ...sd, skip_prk_steps: true });
  const kept = trajectoryOf({ ...plan, steps: 4, trajectory: [0, 1, 3] }, { shape, diffusion });
  const products = publishedSchedule({ json: diffusion.schedule!, file: "f" }).products!;
  const levels = [500, 0].map((time) => Math.sqrt((1 - products[time]!) / products[time]!));
  assert.equal(kept!.steps, [0, 1, 3]);
  assert.close(kept!.sigmas, [1 / Math.sqrt(products[750]!), ...levels], 1e-5);
});

test.run();
