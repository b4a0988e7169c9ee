/** Hands wishes to the worker, one at a time: the newest of each place on the page, the most urgent place first. */
import type { Wish } from "../link.ts";
import type { Device, Drawn, FromWorker, Loading, Site, ToWorker, Who } from "../messages.ts";

/** Where a picture goes: of two wishes for one place only the newer is granted. */
export interface Place {
  name: string;
  /** Lower numbers come first. */
  urgency: number;
  who: Who;
}

interface Waiting {
  place: Place;
  wish: Wish;
  settle: (drawn: Drawn | undefined) => void;
  fail: (error: Error) => void;
  onCall: ((call: number, calls: number) => void) | undefined;
}

export interface Painter {
  load: (loading: Loading, site: Site, device: Device | "best", onProgress: (done: number, total: number) => void) => Promise<Ready>;
  /** The picture of a wish; undefined where a newer wish for its place came first, or the place was cleared. */
  paint: (place: Place, wish: Wish, onCall?: Waiting["onCall"]) => Promise<Drawn | undefined>;
  /** Gives up what is wished for, or drawn, at places whose names begin so. */
  clear: (name: string) => void;
}

export interface Ready {
  device: Device;
  threads: number;
}

/** Starts the worker, whose file `script` is, and hands it one wish at a time. */
export function createPainter(script: URL): Painter {
  const worker = new Worker(script, { type: "module" });
  const tell = (message: ToWorker): void => worker.postMessage(message);
  const waiting = new Map<string, Waiting>();
  const loads = new Map<
    Who,
    { settle: (ready: Ready) => void; fail: (error: Error) => void; onProgress: (a: number, b: number) => void }
  >();
  const ready = new Set<Who>();
  let current: (Waiting & { id: number; isStopped: boolean }) | undefined;
  let count = 0;

  worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => hear(data));
  worker.addEventListener("error", ({ message }) => {
    const error = new Error(`The browser could not start the page's worker${message ? `: ${message}` : ""}.`);
    for (const each of [...loads.values(), ...waiting.values()]) each.fail(error);
  });

  function hear(message: FromWorker): void {
    if (message.say === "progress") loads.get(message.who)?.onProgress(message.done, message.total);
    else if (message.say === "ready") {
      ready.add(message.who);
      loads.get(message.who)?.settle(message);
      next();
    } else if (message.say === "failed" && message.id === undefined) loads.get(message.who)?.fail(new Error(message.message));
    else if (message.id === current?.id) hearOfCurrent(message);
  }

  function hearOfCurrent(message: Exclude<FromWorker, { say: "progress" | "ready" }>): void {
    const { settle, fail, onCall, isStopped } = current as NonNullable<typeof current>;
    if (message.say === "call") onCall?.(message.call, message.calls);
    else {
      if (message.say === "failed") fail(new Error(message.message));
      else settle(message.say === "drawn" && !isStopped ? message.drawn : undefined);
      current = undefined;
      next();
    }
  }

  function next(): void {
    if (current) return;
    const able = [...waiting.values()].filter(({ place }) => ready.has(place.who));
    const first = able.sort((a, b) => a.place.urgency - b.place.urgency)[0];
    if (!first) return;
    waiting.delete(first.place.name);
    current = { ...first, id: ++count, isStopped: false };
    tell({ say: "draw", id: current.id, who: first.place.who, wish: first.wish });
  }

  function stop(): void {
    if (!current || current.isStopped) return;
    current.isStopped = true;
    tell({ say: "stop", id: current.id });
  }

  return {
    load: (loading, site, device, onProgress) =>
      new Promise((settle, fail) => {
        loads.set(loading.who, { settle, fail, onProgress });
        tell({ say: "load", loading, site, device });
      }),
    paint: (place, wish, onCall) =>
      new Promise((settle, fail) => {
        waiting.get(place.name)?.settle(undefined);
        waiting.set(place.name, { place, wish, settle, fail, onCall });
        if (current?.place.who === "teacher" && place.urgency <= current.place.urgency) stop(); // its many calls hold up what is urgent
        next();
      }),
    clear: (name) => {
      for (const [key, each] of waiting) {
        if (!key.startsWith(name)) continue;
        waiting.delete(key);
        each.settle(undefined);
      }
      if (current?.place.name.startsWith(name)) stop();
    },
  };
}
