/**
 * `import { ... } from "onestep"`: the jobs of the command line as functions, and the doors to a store and to the engine. What
 * pipelines of one's own are made of is in "onestep/flow" and "onestep/store", methods of one's own are written with "onestep/methods".
 *
 * This folder is all that users of the package may import. It stands beside bin/ at the top, so that no floor below is written
 * for two kinds of callers; a test holds each file to the list of its names.
 */
export { createEngine, type Engine, type EngineOptions } from "../engine/engine.ts";
export type { PipelineEvent } from "../schemas/events.ts";
export { Failure, isFailure } from "../schemas/failure.ts";
export type { Picture } from "../schemas/images.ts";
export type { Settings } from "../schemas/settings.ts";
export { openStore, type OpenStore } from "../store/rows/open.ts";
export { ingest, type JobOptions, pretrain, sample, simulate, train } from "./jobs.ts";
export type { SettingsInput } from "./prepare-job.ts";
