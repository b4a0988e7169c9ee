/**
 * `import { ... } from "onestep/flow"`: streams with demand, and the stages of a pipeline of one's own. Each stage is an RxJS operator
 * over a flow; docs/GUIDE.md has a whole pipeline in thirty lines.
 */
export type { ImageFile, ImageSample, Rejected } from "../schemas/images.ts";
export type { LatentShard } from "../stages/encode/encode.ts";
export { batch, drain, type Flow, inTurn, iterate, pull, stage, through, type Turn } from "../stages/flow/mod.ts";
export type { StageOptions } from "../stages/flow/stage.ts";
export { together } from "../stages/flow/together.ts";
export { decode, type DecodeOptions } from "../stages/ingest/decode.ts";
export { fillLatents, type LatentParts } from "./fill-latents.ts";
