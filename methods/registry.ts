/** The methods there are: every file of this folder that exports `method`, and files of others that were added. */
import { readdirSync } from "node:fs";
import { Failure } from "../schemas/failure.ts";
import { unknownName } from "../schemas/nearest.ts";
import type { MethodSettings, OptimiserSettings, TrainingSettings } from "../schemas/settings.ts";
import { optimiserSettings } from "../schemas/settings.ts";
import { type AnyMethod, loadMethod, loadOwnMethod, methodEnding as ending } from "./load.ts";
import type { Product } from "./method.ts";

export type { AnyMethod };

const files = readdirSync(new URL("./", import.meta.url)).filter(
  (file) => file.endsWith(ending) && !file.endsWith(`.d${ending}`) && !isSupport(file),
);

const known: AnyMethod[] = await Promise.all(files.sort().map((file) => loadMethod(file.slice(0, -ending.length))));

/** Every method, in the order of their files; those that were added come last. */
export const methods: readonly AnyMethod[] = known;

const added = new Map<string, string>();

/** The URL of the file that a method was added from; undefined of a method of this folder. */
export const addedFrom = (name: string): string | undefined => added.get(name);

/**
 * Makes the method that a file exports one of the methods; of a file that was added already it answers the method. The settings'
 * schema follows in recipes/settings.ts. Throws a Failure where the file has no method, or one whose name is taken.
 */
export async function registerMethod(file: URL): Promise<AnyMethod> {
  const method = await loadOwnMethod(file);
  if (added.get(method.name) === file.href) return method;
  if (known.some(({ name }) => name === method.name)) {
    throw new Failure(`Cannot add the method in ${file.href}: there is a method "${method.name}" already. Give it another name.`);
  }
  known.push(method);
  added.set(method.name, file.href);
  return method;
}

function isSupport(file: string): boolean {
  return [`load${ending}`, `method${ending}`, `registry${ending}`].includes(file);
}

/** The names of the methods that make this. */
export const methodNames = (makes: Product = "student"): string[] =>
  methods.filter((method) => method.makes === makes).map(({ name }) => name);

/** The method of that name. Throws a usage failure that suggests the nearest. */
export function methodNamed(name: string): AnyMethod {
  const found = methods.find((method) => method.name === name);
  if (found) return found;
  throw unknownName(name, { what: "method", names: methodNames() });
}

/** The one method that makes a pretrained network. */
export function methodFor(product: Exclude<Product, "student">): AnyMethod {
  return methods.find((method) => method.makes === product) as AnyMethod;
}

/** What the settings' schema needs of the methods. */
export function methodSettings(): MethodSettings {
  const usual = methods.find(({ isDefault }) => isDefault) as AnyMethod;
  return {
    usual: usual.name,
    students: Object.fromEntries(methods.filter(({ makes }) => makes === "student").map(({ name, settings }) => [name, settings])),
    pretrained: {
      teacher: methodFor("teacher").settings,
      autoencoder: methodFor("autoencoder").settings,
      perceptual: methodFor("perceptual").settings,
      tokenizer: methodFor("tokenizer").settings,
      prior: methodFor("prior").settings,
    },
  };
}

/** A method's own settings out of those of a training: a group under its name, or beside the optimiser's. */
export function ownSettings(method: AnyMethod, training: TrainingSettings): never {
  const given = method.makes === "student" ? (training[method.name] as object) : picked(training, Object.keys(method.settings.shape));
  return method.settings.parse(given ?? {}) as never;
}

/** The optimiser's settings out of those of a training: a batch is taken in as many micro-batches as there are workers, at least. */
export function optimiserOf(training: TrainingSettings): OptimiserSettings {
  const optimiser = picked(training, Object.keys(optimiserSettings.shape)) as OptimiserSettings;
  return { ...optimiser, ...(optimiser.accumulate === 1 && { accumulate: training.workers ?? 1 }) };
}

/** The entries of an object under these keys, in their order: what a hash of it may depend on. */
export function picked<T extends object>(values: T, keys: readonly string[]): Partial<T> {
  return Object.fromEntries(keys.filter((key) => key in values).map((key) => [key, values[key as keyof T]])) as Partial<T>;
}
