/** Streams with demand: RxJS flows in which nothing is made before there is room for it. */
export { batch } from "./batch.ts";
export { drain } from "./drain.ts";
export { type Flow, through } from "./flow.ts";
export { inTurn } from "./in-turn.ts";
export { iterate } from "./iterate.ts";
export { pull } from "./pull.ts";
export { stage } from "./stage.ts";
