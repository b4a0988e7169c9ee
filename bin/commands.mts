/** Every command as data: parsing, `--help`, suggestions and dispatch all come from this table. */
import type { Entry } from "./command.mts";
import { cluster } from "./commands/cluster.mts";
import { inspect, serve } from "./commands/inspect.mts";
import { bench, doctor } from "./commands/machine.mts";
import { evaluate, mergeLora, mergeWeights, reconstruct, sample } from "./commands/models.mts";
import { complete, completion } from "./commands/shell.mts";
import { exportCommand, ingest, merge, reprocess, simulate, tokenize, verify } from "./commands/stores.mts";
import { methods, pretrain, run, study, train } from "./commands/training.mts";

/** In the order of a job, as the overview lists them. */
export const commands: readonly Entry[] = [
  ingest,
  pretrain,
  tokenize,
  simulate,
  verify,
  merge,
  reprocess,
  train,
  run,
  study,
  sample,
  evaluate,
  reconstruct,
  mergeLora,
  mergeWeights,
  inspect,
  serve,
  exportCommand,
  methods,
  cluster,
  doctor,
  bench,
  completion,
  complete,
];
