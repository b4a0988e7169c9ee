/** A traced program on a device: feeds inputs and variables, takes outputs, and puts new values of variables in place. */
import { checkInput, type Declared, type InputArray, type Program, type ProgramSpec, type Sets } from "./program.ts";
import { type Trace, traceProgram } from "./trace.ts";
import { availableMemory, checkFootprint } from "./footprint.ts";
import { type Placed, placeFrozen } from "./frozen.ts";
import { traitsOf } from "./graph.ts";
import { type Precision, soundInHalf } from "./precision.ts";
import { createSession, type Device, ort, type SessionOptions } from "./session.ts";
import { adopt, type ConstantSet, type InOrder, type Memory, present, type Slot, type VariableSet } from "./variables.ts";

/** What an engine's programs have in common. */
export interface Surroundings {
  session: Omit<SessionOptions, "resident">;
  precision: Precision;
  memory: Memory;
  inOrder: InOrder;
  /** Where frozen weights lie, by set: programs share them. */
  frozen: Map<ConstantSet, Promise<Record<string, Placed>>>;
  /** The bytes from which a set of frozen weights is large (see frozen.ts). */
  bakedBytes: number;
  /** The bytes of memory that a program with large frozen weights may take; what is available unless given. */
  memoryBytes?: number;
}

/** Compiles a program for the device. Whoever calls releases the session. */
export async function compileProgram<S extends Sets>(
  spec: ProgramSpec<S>,
  { session: options, precision, memory, inOrder, frozen, bakedBytes, memoryBytes }: Surroundings,
): Promise<{ program: Program; session: ort.InferenceSession }> {
  const { device } = options;
  checkSets(spec, device);
  const placed = new Map<ConstantSet, Record<string, Placed>>();
  for (const set of Object.values(spec.sets)) {
    if (set.kind === "variables") continue;
    const placing = frozen.get(set) ?? placeFrozen(set, { device, bakedBytes });
    frozen.set(set, placing);
    placing.catch(() => frozen.delete(set)); // its file cannot be read: the next program tries again
    placed.set(set, await placing);
  }
  await checkFiles(placed);
  const trace = traceProgram(spec, { frozen: placed, ...traitsOf(device) });
  const footprint = trace.footprint();
  if (footprint) checkFootprint(spec.name, footprint, memoryBytes ?? availableMemory());
  // Where memory is the device's own every run fetches all outputs there and copies what is wanted: the Node binding of
  // 1.30 never unbinds an output, and mixes up the results of runs that fetch different ones.
  const stays = ({ dtype }: { dtype: string }): boolean => memory.isSeparate && (dtype === "float32" || dtype === "int32");
  const resident = [...trace.writes.map(({ port }) => port), ...trace.outputs.filter(stays).map(({ name }) => name)];
  const { model, notes } = precision === "half" ? await inHalf(trace, { device, program: spec.name }) : { model: trace.model, notes: [] };
  const session = await createSession(model, { ...options, program: spec.name, resident, folder: trace.folder, rewrite: trace.rewrite });
  const slotOf = (set: VariableSet | ConstantSet, key: string): Slot => {
    if (set.kind === "variables") return set.variables[key] as Slot;
    const { slot } = (placed.get(set) as Record<string, Placed>)[key] as Placed & { place: "input" };
    return slot;
  };
  const reads = trace.reads.map(({ port, set, key }) => ({ port, slot: slotOf(set, key) }));
  const writes = trace.writes.map(({ port, set, key }) => ({ port, slot: slotOf(set, key) }));
  const names = trace.outputs.map(({ name }) => name.slice("out/".length));
  const given = trace.inputs; // what a run needs of the trace: the rest, the model too, is let go

  const execute = async (inputs: Record<string, InputArray>, wanted: readonly string[]): Promise<Record<string, InputArray>> => {
    const feeds: Record<string, ort.Tensor> = {};
    for (const name of given) {
      const { shape, dtype = "float32" } = spec.inputs[name] as ProgramSpec["inputs"][string];
      feeds[`in/${name}`] = new ort.Tensor(dtype, checkInput(spec, name, inputs[name]) as never, shape);
    }
    for (const { port, slot } of reads) feeds[port] = slot.value ?? (await present(slot, memory));
    for (const { slot } of writes) {
      if (!slot.value) await present(slot, memory);
      slot.spare ??= memory.spare(slot.shape);
    }
    const fetches: Record<string, ort.Tensor | null> = {};
    for (const { port, slot } of writes) fetches[port] = slot.spare ?? null;
    for (const name of memory.isSeparate ? names : wanted) fetches[`out/${name}`] = null;
    if (Object.keys(fetches).length === 0) return {};
    // By position: the binding gives the results of a part of the outputs the names of the first outputs.
    const results = Object.values(await session.run(feeds, fetches));
    const fetched = new Map(session.outputNames.filter((name) => name in fetches).map((name, i) => [name, results[i] as ort.Tensor]));
    for (const { port, slot } of writes) adopt(slot, slot.spare ?? (fetched.get(port) as ort.Tensor), memory);
    const outputs: Record<string, InputArray> = {};
    for (const name of wanted) {
      const tensor = fetched.get(`out/${name}`) as ort.Tensor;
      outputs[name] = (tensor.location === "cpu" ? tensor.data : await memory.download(tensor)) as InputArray;
    }
    for (const name of names) {
      const tensor = fetched.get(`out/${name}`);
      if (tensor && tensor.location !== "cpu") memory.free(tensor);
    }
    return outputs;
  };
  const run: Program["run"] = (inputs, { outputs: wanted = names } = {}) => {
    const unknown = wanted.find((name) => !names.includes(name));
    if (unknown === undefined) return inOrder(() => execute(inputs, wanted));
    return Promise.reject(new Error(`Cannot run program "${spec.name}": it has no output "${unknown}", only ${names.join(", ")}`));
  };
  return { program: { name: spec.name, nodes: trace.nodes, notes, run }, session };
}

/** Throws an Error where a file that the program will map is not as it was opened: reading past its end ends the process. */
async function checkFiles(placed: ReadonlyMap<ConstantSet, Record<string, Placed>>): Promise<void> {
  const tensors = [...placed.values()].flatMap((set) => Object.values(set).flatMap((at) => (at.place === "file" ? [at.tensor] : [])));
  for (const { check } of new Map(tensors.map((tensor) => [tensor.file, tensor])).values()) await check();
}

/** The model in half precision where the device does it right, and a note of where it does not. */
async function inHalf(
  trace: Trace,
  { device, program }: { device: Device; program: string },
): Promise<{ model: Uint8Array; notes: string[] }> {
  const products = trace.products();
  const { sound, reason } = await soundInHalf(products, device);
  if (sound.size === products.length) return { model: trace.halved(sound), notes: [] };
  const note =
    `Program "${program}" takes ${products.length - sound.size} of its ${products.length} kinds of products in float32 for all of ` +
    `precision "half": device "${device}" failed their test in float16 (${reason}).`;
  return { model: trace.halved(sound), notes: [note] };
}

/** Throws unless the program's variables live on the device. */
function checkSets(spec: Declared, device: string): void {
  for (const set of Object.values(spec.sets)) {
    if (set.kind === "constants" || set.device === device) continue;
    throw new Error(
      `Cannot compile program "${spec.name}" on device "${device}": variables "${set.name}" live on device "${set.device}". ` +
        "Make them with the same engine, or copy them with read and load.",
    );
  }
}
