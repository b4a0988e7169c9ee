/** The worker: loads the runtime and the models, and draws what the page wishes for, one network call at a time. */
import type { OnestepJson } from "../../../../schemas/onestep-json.ts";
import { draw, pixelsOf, type Values } from "../drawing.ts";
import type { Wish } from "../link.ts";
import type { Drawn, FromWorker, Loading, Site, ToWorker, Who } from "../messages.ts";
import { forgetOthers, loadAsset } from "./assets.ts";
import { captionReader } from "./captions.ts";
import { chooseDevice, type Loaded, loadRuntime, type Session } from "./runtime.ts";

/** A model that is ready to draw. */
interface Artist {
  loading: Loading;
  /** What the text encoder is given for a caption. */
  read: (caption: string) => Values;
  sessions: Record<"generator" | "decoder", Session> & { text?: Session };
  /** What the text encoder made of captions of late. */
  known: Map<string, Values>;
}

/** The site's root: this file is SITE/code/stages/export/web/browser/worker.js. */
const base = new URL("../../../../../", import.meta.url).href;
const artists: Partial<Record<Who, Promise<Artist>>> = {};
const stopped = new Set<number>();
let runtime: Promise<Loaded> | undefined;
let turn: Promise<unknown> = Promise.resolve(); // the network call that is under way: there is one at a time

const say = (message: FromWorker, transfer: Transferable[] = []): void =>
  (postMessage as (message: FromWorker, transfer: Transferable[]) => void)(message, transfer);

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if (data.say === "stop") stopped.add(data.id);
  else if (data.say === "load") load(data.loading, data.site, data.device);
  else answer(data.id, data.who, data.wish);
});

function load(loading: Loading, site: Site, device: "best" | "wasm" | "webgpu"): void {
  const { who } = loading;
  const made = ready(loading, site, device);
  artists[who] = made;
  made.catch((error: Error) => {
    delete artists[who];
    say({ say: "failed", id: undefined, who, message: inWords(error) });
  });
}

async function ready(loading: Loading, site: Site, asked: "best" | "wasm" | "webgpu"): Promise<Artist> {
  const { who, model, folder } = loading;
  const device = await chooseDevice(asked);
  const graphs = Object.entries(model.graphs).filter(([, graph]) => graph !== undefined);
  const files = graphs
    .flatMap(([, { data, ...graph }]) => [graph, ...(data ? [data] : [])])
    .map((each) => ({ ...each, file: folder + each.file }));
  const program = site.runtimes[device].program;
  const total = files.reduce((sum, { bytes }) => sum + bytes, runtime ? 0 : program.bytes);
  const counts = new Map<string, number>();
  const counting = (file: string) => (bytes: number) => {
    counts.set(file, bytes);
    say({ say: "progress", who, done: [...counts.values()].reduce((sum, each) => sum + each, 0), total });
  };
  runtime ??= loadRuntime(site, base, device, counting(program.file));
  runtime.catch(() => (runtime = undefined));
  const [loaded, ...contents] = await Promise.all([runtime, ...files.map((file) => loadAsset(file, base, counting(file.file)))]);
  const executionProviders = loaded.device === "webgpu" ? ["webgpu"] : ["wasm"];
  const sessions: Record<string, Session> = {};
  for (const [name, { data }] of graphs) {
    const graph = contents.shift() as Uint8Array;
    const beside = data ? { externalData: [{ path: data.file, data: contents.shift() as Uint8Array }] } : {};
    sessions[name] = await inTurn(() => loaded.ort.InferenceSession.create(graph, { executionProviders, ...beside }));
  }
  const read = await captionReader(loading, site, base);
  if (who === "student") await forgetOthers([...files, ...Object.values(site.runtimes).map((each) => each.program)], base).catch(() => {});
  say({ say: "ready", who, device: loaded.device, threads: loaded.threads });
  return { loading, read, sessions: sessions as Artist["sessions"], known: new Map() };
}

/** Does one thing after the other: a runtime that is at work answers nothing else. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const done = turn.then(work, work);
  turn = done.catch(() => {});
  return done;
}

async function answer(id: number, who: Who, wish: Wish): Promise<void> {
  try {
    const artist = await artists[who];
    if (!artist) throw new Error("The model is not loaded. Load the page again.");
    const drawn = await pictureOf(artist, wish, id);
    say(drawn ? { say: "drawn", id, drawn } : { say: "stopped", id }, drawn ? [drawn.pixels.buffer] : []);
  } catch (error) {
    say({ say: "failed", id, who, message: inWords(error as Error) });
  }
  stopped.delete(id);
}

/** The picture of a wish; undefined where it was given up on the way. */
async function pictureOf({ loading: { model }, read, sessions, known }: Artist, wish: Wish, id: number): Promise<Drawn | undefined> {
  const { ort } = (await runtime) as Loaded;
  const started = performance.now();
  const run = async (
    session: Session,
    graph: OnestepJson["graphs"]["generator"],
    inputs: Values,
  ): Promise<Record<string, Float32Array>> => {
    const feeds: Record<string, InstanceType<typeof ort.Tensor>> = {};
    for (const { name, shape, dtype } of graph.inputs) {
      const dims = shape.map((side) => (side === "batch" ? 1 : side));
      feeds[name] = new ort.Tensor(dtype, inputs[name] as never, dims);
    }
    const answers = await inTurn(() => session.run(feeds));
    return Object.fromEntries(Object.entries(answers).map(([name, { data }]) => [name, data as Float32Array]));
  };
  const conditions = await conditionsOf();
  const calls = Symbol("given up");
  try {
    const image = await draw({
      model,
      wish,
      conditions,
      run: async (graph, inputs) => Object.values(await run(sessions[graph], model.graphs[graph], inputs))[0] as Float32Array,
      onCall: async (call, of) => {
        if (of === 1) return;
        say({ say: "call", id, call: call + 1, calls: of });
        await new Promise((wake) => setTimeout(wake)); // so that a word to stop is heard
        if (stopped.has(id)) throw calls;
      },
    });
    const { width, height } = model.image;
    return { pixels: pixelsOf(image), width, height, milliseconds: performance.now() - started };
  } catch (error) {
    if (error === calls) return undefined;
    throw error;
  }

  async function conditionsOf(): Promise<Values> {
    const { condition, graphs } = model;
    if ("names" in condition) return { [condition.input]: Int32Array.of(wish.label) };
    if (!("tokenizers" in condition) || !sessions.text || !graphs.text) return {};
    const found = known.get(wish.caption);
    if (found) return found;
    const made = await run(sessions.text, graphs.text, read(wish.caption));
    if (known.size >= 64) known.delete(known.keys().next().value as string);
    known.set(wish.caption, made);
    return made;
  }
}

/** What to tell a person of an error of the browser or of the runtime. */
function inWords({ message }: Error): string {
  if (/out of memory|allocation failed|Array buffer allocation|RangeError/i.test(message)) {
    return "There is not enough memory for this model in the browser. Close other pages and load this one again.";
  }
  return message;
}
