/**
 * How samples of a model are drawn, as data: by a solver over a grid of so many steps, or at the noise levels that its
 * model.json names. From the plan follow the stages (plan-schedule.ts), what noise a sample takes, and the number of network
 * evaluations (NFE).
 */
import { badUsage } from "../../schemas/failure.ts";
import type { DenoiserDescription, Sampler } from "../../schemas/model.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";
import { takesGuidance } from "../denoiser.ts";
import { createParameterisation, type Parameterisation } from "./parameterisation.ts";

/** A solver of the ODE over its own grid: `steps` 1 is a single evaluation at sigmaMax, whatever the solver. */
export type SolverPlan = Pick<SimulateSettings, "solver" | "steps" | "guidance" | "trueGuidance" | "guidanceRescale">;

/** Noise levels sigma that fall, at each of which the network is asked once. */
export type LevelPlan = Pick<Sampler, "between" | "guidance" | "prior"> & { times: readonly number[] };

export type SamplerPlan = SolverPlan | LevelPlan;

/** What a student is sampled by whose model.json says nothing. */
export const ONE_STEP: SolverPlan = { solver: "euler", steps: 1, guidance: 1 };

/** What a plan is made from: a model's description, or as much of it as there is before it is written. */
export type Sampled = Pick<DenoiserDescription, "role" | "sampler" | "spec">;

/**
 * How a model is sampled: as its model.json says, or by `solver` where that leaves it open. A student whose model.json says
 * nothing is asked once. `steps` asks for that many network calls of a student, of a teacher for that many of the solver's
 * steps. Throws a usage failure that names the numbers there are where a student was not made for it; `name` is the model's.
 */
export function planOf(model: Sampled, solver: SolverPlan, { steps, name }: { steps?: number; name?: string } = {}): SamplerPlan {
  const { role, sampler, spec } = model;
  if (!sampler && role !== "student") return { ...solver, ...(steps !== undefined && { steps }) };
  const allowed = allowedSteps(model);
  if (steps !== undefined && allowed !== "any" && !allowed.includes(steps)) {
    const numbers = inWords(allowed);
    throw badUsage(
      `Cannot sample ${name ?? "this student"} in ${inCalls(steps)}: it was made for ${numbers}. ` +
        `Ask for ${allowed.length === 1 ? "that" : "one of these"} with --steps, or train a student for more.`,
    );
  }
  if (!sampler) return ONE_STEP;
  const { times, choices = {}, ...rest } = sampler;
  if (times !== "any") return { ...rest, times: steps === undefined || steps === times.length ? times : (choices[steps] as number[]) };
  // A network of an ODE alone is guided as a teacher is: as the settings say.
  const guidance = rest.between === "ode" && !takesGuidance(spec) ? solver.guidance : rest.guidance;
  if (rest.between === "ode" && steps === undefined) return { ...solver, guidance };
  const calls = steps ?? solver.steps;
  return { ...rest, guidance, times: choices[calls] ?? evenLevels(createParameterisation(spec.diffusion), calls) };
}

/** The numbers of network calls that a model can be asked for, rising; any where its ODE may be solved, or a curve entered, anywhere. */
export function allowedSteps({ role, sampler }: Pick<Sampled, "role" | "sampler">): "any" | number[] {
  if (!sampler) return role === "student" ? [1] : "any";
  if (sampler.times === "any") return "any";
  const numbers = [sampler.times.length, ...Object.keys(sampler.choices ?? {}).map(Number)];
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/**
 * `count` noise levels from sigmaMax down, uniform in the parameterisation's time: the last call is one interval before the end.
 * Of flow and VP it is their solvers' grid; EDM's keeps its last call for sigmaMin, where few calls have none to waste.
 */
function evenLevels({ timeOf, sigmaAt, sigmaMax, lastSigma }: Parameterisation, count: number): number[] {
  const [first, last] = [timeOf(sigmaMax), timeOf(lastSigma)];
  return Array.from({ length: count }, (_, i) => (i === 0 ? sigmaMax : sigmaAt(first + (i / count) * (last - first))));
}

/** How a model is sampled, in words: "4 network calls (NFE) at sigma 80, 24, 5, 0.4, fresh noise between them". */
export function samplerInWords({ role, sampler }: Pick<Sampled, "role" | "sampler">): string {
  if (!sampler)
    return role === "student" ? `${inCalls(1)} (NFE 1)` : "by any solver of its ODE, whose steps decide the network calls (NFE)";
  const { times, between, guidance, prior } = sampler;
  const others = Object.keys(sampler.choices ?? {}).filter((key) => Number(key) !== times.length);
  const way = between === "ode" ? "along the ODE" : "by fresh noise";
  const levels = Array.isArray(times) ? times.map((sigma) => Number(sigma.toPrecision(3))).join(", ") : "";
  return [
    times === "any" ? `any number of network calls (NFE), from one to the next ${way}` : `${inCalls(times.length)} (NFE ${times.length})`,
    ...(levels === "" ? [] : [`at sigma ${levels}${times.length > 1 ? `, from one to the next ${way}` : ""}`]),
    ...(others.length > 0 ? [`or in ${inWords(others.map(Number))}`] : []),
    ...(guidance === 1 ? [] : [`guidance ${guidance}`]),
    ...(prior ? ["from a prior of the data's mean and deviation"] : []),
  ].join("; ");
}

const inCalls = (count: number): string => `${count} network call${count === 1 ? "" : "s"}`;

/** "1, 2 or 4 network calls" */
function inWords(numbers: readonly number[]): string {
  const last = inCalls(numbers.at(-1) as number);
  return numbers.length === 1 ? last : `${numbers.slice(0, -1).join(", ")} or ${last}`;
}
