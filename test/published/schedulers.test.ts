/** Every scheduler class of diffusers is walked, or a sentence says what to do instead. */
import { scheduleOf, solverFor, walkSchedule } from "../../models/diffusion/plan-schedule.ts";
import { anyDiffusion } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("scheduler classes");

const diffusionOf = (name: string, more: object = {}) => {
  const schedule = { _class_name: name, num_train_timesteps: 1000, prediction_type: "epsilon", ...more };
  return anyDiffusion.parse({ parameterisation: "vp-epsilon", schedule });
};
const asked = { steps: 4, guidance: 1 };
const shape = [8, 8, 4];

const WALKED = ["DDIMParallelScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler", "PNDMScheduler"];
const UNKNOWN_STEPS = [
  ...["DEISMultistepScheduler", "DPMSolverSinglestepScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler"],
  ...["LMSDiscreteScheduler", "UniPCMultistepScheduler"],
];
const NOISY = [
  ...["DDPMParallelScheduler", "DDPMScheduler", "DPMSolverSDEScheduler", "EulerAncestralDiscreteScheduler"],
  ...["KDPM2AncestralDiscreteScheduler", "LCMScheduler", "SASolverScheduler", "TCDScheduler"],
];
/** The others of diffusers 0.42: of tokens, of other preconditioning, of consistency models, backwards, or of one pipeline alone. */
const REFUSED = `
  Amused BlockRefinement CMStochasticIterative CogVideoXDDIM CogVideoXDPM ConsistencyDecoder CosineDPMSolverMultistep
  DDIMInverse DDPMWuerstchen DiscreteDDIM DPMSolverMultistepInverse EDMDPMSolverMultistep EDMEuler EntropyBound
  FlowMapEulerDiscrete FlowMatchHeunDiscrete FlowMatchLCM Helios HeliosDMD IPNDM LTXEulerAncestralRF MiniMaxH3 Piflow RePaint
  RFD4Proteina SCM ScoreSdeVe UnCLIP VQDiffusion
`;

test("those that follow an ODE are walked as published", () => {
  for (const name of WALKED) {
    const diffusion = diffusionOf(name);
    assert.is(solverFor("auto", diffusion), "published", name);
    assert.ok(scheduleOf({ solver: "published", ...asked }, { diffusion, shape }).stages.length >= 4, name);
  }
  const diffusion = diffusionOf("FlowMatchEulerDiscreteScheduler", { prediction_type: undefined });
  assert.ok(scheduleOf({ solver: "published", ...asked }, { diffusion, shape }).stages.length === 4);
});

test("of all others with betas the levels are known, and the sentence names a solver", () => {
  const cases = [
    ...UNKNOWN_STEPS.map((name) => [name, {}, "its steps are not known here"] as const),
    ...NOISY.map((name) => [name, {}, "its steps add noise, so no ODE leads"] as const),
    ["DPMSolverMultistepScheduler", { algorithm_type: "sde-dpmsolver++" }, "its steps add noise"] as const,
    ["FlowMatchEulerDiscreteScheduler", { stochastic_sampling: true }, "its steps add noise"] as const,
  ];
  for (const [name, more, why] of cases) {
    const diffusion = diffusionOf(name, more);
    assert.throws(
      () => scheduleOf({ solver: "published", ...asked }, { diffusion, shape }),
      new RegExp(`Cannot walk as ${name} does: ${why}.*; set simulate.solver to ddim, heun`),
    );
    assert.is(solverFor("auto", diffusion), "heun", name);
    for (const solver of ["auto", "ddim", "heun", "euler", "dpm++2m"] as const)
      assert.ok(scheduleOf({ solver, ...asked }, { diffusion, shape }).start > 1, `${name} by ${solver}`);
  }
});

test("betas are the class's own where a config names none", () => {
  const highest = (name: string, more = {}) =>
    scheduleOf({ solver: "ddim", ...asked }, { diffusion: diffusionOf(name, more), shape }).start;
  const same = (a: number, b: number): void => assert.ok(Math.abs(a / b - 1) < 1e-3, `${a} ${b}`);
  same(highest("UniPCMultistepScheduler"), highest("DDIMScheduler"));
  same(highest("HeunDiscreteScheduler"), highest("DDIMScheduler", { beta_start: 0.00085, beta_end: 0.012 }));
  same(highest("TCDScheduler"), highest("LCMScheduler"));
});

test("a class of another kind is refused with what can be done", () => {
  for (const name of REFUSED.trim().split(/\s+/)) {
    const refused =
      /Cannot use diffusion\.schedule: it is of the class "\w+", which is not known here; .* write the config of a DDIMScheduler/;
    assert.throws(() => walkSchedule({ diffusion: diffusionOf(`${name}Scheduler`), shape, steps: 4 }), refused);
  }
});

test.run();
