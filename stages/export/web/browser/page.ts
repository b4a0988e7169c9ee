/** The page at work: what a person chooses becomes a wish, and the wish pictures. */
import { linkOf, wholeNumber, type Wish, wishOf } from "../link.ts";
import { choicesOf } from "../choices.ts";
import type { Drawn } from "../messages.ts";
import { createGrid } from "./grid.ts";
import { createPainter, type Place, type Ready } from "./painter.ts";
import { find, onKeys, put, savePicture } from "./elements.ts";
import { askedDevice, keepOffline, lacking, readLoading, readSite } from "./start.ts";
import { createTeacher } from "./teacher.ts";
import { createWalk } from "./walk.ts";

/** The site's root: this file is SITE/code/stages/export/web/browser/page.js. */
const base = new URL("../../../../../", import.meta.url).href;
const place: Place = { name: "picture", urgency: 0, who: "student" };

start().catch(fail);

async function start(): Promise<void> {
  const body = document.body;
  body.classList.add("started");
  const missing = lacking();
  if (missing) throw new Error(missing);
  const site = await readSite(base);
  const loading = await readLoading("student", site.models.student, base);
  const { model } = loading;
  const choices = choicesOf(model);
  const painter = createPainter(new URL("worker.js", import.meta.url));

  const examples = [...document.querySelectorAll<HTMLButtonElement>(".example")];
  const usual: Wish = {
    seed: 0,
    index: 0,
    label: 0,
    calls: undefined,
    walk: undefined,
    caption: examples[0]?.textContent ?? ("captions" in model.condition ? (model.condition.captions[0] ?? "") : ""),
  };
  let wish = wishOf(location.hash, usual, choices);
  let speed: number | undefined; // milliseconds a picture, of late
  let ready: Ready | undefined;
  let writing: number | undefined; // browsers let a page change its address a hundred times in half a minute
  const times: number[] = [];
  const linked = (): string => `#${linkOf(wish, choices)}`;

  const canvas = find<HTMLCanvasElement>("picture");
  const [caption, seed] = [document.getElementById("caption") as HTMLTextAreaElement | null, find<HTMLInputElement>("seed")];
  const grid = createGrid({ painter, onFail: fail, onChoose: (index) => change({ index, walk: undefined }) });
  const teacher = createTeacher({ painter, site, base, onFail: fail, current: () => wish });
  const walk = createWalk({ painter, onFail: fail, onWalk: (way) => change({ walk: way }, { keeps: true }), current: () => wish });

  /** Shows a wish everywhere. `keeps`: it replaces this entry of the browser's history; `typed`: the field that is typed in stays. */
  function change(part: Partial<Wish>, { keeps = false, typed = false } = {}): void {
    wish = { ...wish, ...part };
    clearTimeout(writing);
    if (keeps || typed) writing = setTimeout(() => history.replaceState(history.state, "", linked()), 250);
    else if (linked() !== location.hash) history.pushState("here", "", linked());
    show(typed);
  }

  function show(typed = false): void {
    if (caption && !typed) caption.value = wish.caption;
    if (!typed || document.activeElement !== seed) seed.value = String(wish.seed);
    for (const input of document.querySelectorAll<HTMLInputElement>("[name=class]")) input.checked = Number(input.value) === wish.label;
    for (const input of document.querySelectorAll<HTMLInputElement>("[name=calls]")) {
      input.checked = Number(input.value) === (wish.calls ?? choices.calls[0]);
    }
    const list = document.getElementById("class") as HTMLSelectElement | null;
    if (list) list.value = String(wish.label);
    for (const each of examples) each.setAttribute("aria-pressed", String(each.textContent === wish.caption));
    walk.show();
    paint();
  }

  async function paint(): Promise<void> {
    const asked = wish;
    try {
      const drawn = await painter.paint(place, asked);
      if (!drawn) return;
      put(canvas, drawn);
      canvas.dataset.shows = linkOf(asked, choices);
      tell(drawn, asked);
      if (asked !== wish) return;
      grid.show(asked);
      teacher.show(asked);
      walk.showEnds();
    } catch (error) {
      fail(error);
    }
  }

  function tell({ milliseconds }: Drawn, shown: Wish): void {
    document.body.classList.remove("loading");
    find("trouble").hidden = true; // whatever it was has passed
    times.push(milliseconds);
    if (times.length > 12) times.shift();
    speed = [...times].sort((a, b) => a - b)[times.length >> 1];
    const words = choices.readsCaptions ? shown.caption : (choices.names[shown.label] ?? "");
    const calls = shown.calls ?? choices.calls[0]!;
    const number = shown.walk && shown.walk.at > 0 ? "on the walk" : `number ${shown.index}`;
    find("legend").textContent = `Seed ${shown.seed}, ${number}, ${calls === 1 ? "one call" : `${calls} calls`}`;
    canvas.setAttribute("aria-label", `The picture: ${words || "no caption"}, seed ${shown.seed}, ${number}`);
    if (ready) find("engine").textContent = `${engineInWords(ready)}, ${Math.max(1, Math.round(speed ?? milliseconds))} ms a picture`;
  }

  function listen(): void {
    caption?.addEventListener("input", () => change({ caption: caption.value.replace(/\s+/g, " ") }, { typed: true }));
    caption?.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      caption.blur();
    });
    for (const each of examples) each.addEventListener("click", () => change({ caption: each.textContent ?? "" }));
    for (const name of ["class", "calls"] as const) {
      for (const input of document.querySelectorAll<HTMLInputElement>(`[name=${name}], select#${name}`)) {
        input.addEventListener("change", () => change({ [name === "class" ? "label" : "calls"]: Number(input.value) }));
      }
    }
    seed.addEventListener("input", () => {
      const number = wholeNumber(seed.value);
      seed.setAttribute("aria-invalid", String(number === undefined));
      if (number !== undefined) change({ seed: number, index: 0, walk: undefined }, { typed: true });
    });
    const actions = {
      another: () => change({ seed: freshSeed(), index: 0, walk: undefined }),
      save: () => savePicture(canvas, nameOf(wish)),
      copy: copyLink,
    };
    for (const [id, act] of Object.entries(actions)) find(id).addEventListener("click", act);
    const pixels = document.getElementById("pixels"); // of small pictures alone
    pixels?.addEventListener("click", () => pixels.setAttribute("aria-pressed", String(document.body.classList.toggle("sharp"))));
    onKeys({ n: actions.another, s: actions.save, l: actions.copy, t: teacher.toggle, " ": walk.toggle, "/": () => caption?.select() });
    onSwipe(canvas, { left: actions.another, right: () => history.state === "here" && history.back() });
    addEventListener("popstate", () => {
      wish = wishOf(location.hash, usual, choices);
      walk.stop();
      show();
    });
  }

  async function copyLink(): Promise<void> {
    const told = find("told");
    const link = new URL(linked(), location.href).href;
    const copied = await navigator.clipboard?.writeText(link).then(
      () => true,
      () => false,
    );
    told.textContent = copied ? "The link is copied: it opens this very picture." : `The link is ${link}`;
  }

  function nameOf({ seed, index, label, caption }: Wish): string {
    const words = (choices.readsCaptions ? caption : (choices.names[label] ?? "")).toLowerCase();
    return [...(words.match(/[\p{L}\p{N}]+/gu) ?? []), seed, ...(index > 0 ? [index] : [])].join("-").slice(0, 80);
  }

  listen();
  show();
  const [bar, words] = [find<HTMLProgressElement>("bar"), find("loading-words")];
  ready = await painter.load(loading, site, askedDevice(), (done, total) => {
    bar.value = done / total;
    words.textContent = done < total ? `Loading, ${megabytes(done)} of ${megabytes(total)} MB` : "Starting the network";
  });
  find("engine").textContent = engineInWords(ready);
  document.body.dataset.device = ready.device;
  keepOffline(base);
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** A seed that is easily told to somebody else. */
const freshSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000;

function engineInWords({ device, threads }: Ready): string {
  if (device === "webgpu") return "WebGPU";
  return threads === 1 ? "WebAssembly, one thread" : `WebAssembly, ${threads} threads`;
}

/** A finger that goes along the picture. */
function onSwipe(element: HTMLElement, acts: { left: () => void; right: () => void }): void {
  let from: { x: number; y: number } | undefined;
  element.addEventListener(
    "touchstart",
    ({ touches }) => (from = touches.length === 1 ? { x: touches[0]!.clientX, y: touches[0]!.clientY } : undefined),
    {
      passive: true,
    },
  );
  element.addEventListener("touchend", ({ changedTouches }) => {
    const [end] = changedTouches;
    if (!from || !end) return;
    const [x, y] = [end.clientX - from.x, end.clientY - from.y];
    if (Math.abs(x) > 40 && Math.abs(x) > 2 * Math.abs(y)) acts[x < 0 ? "left" : "right"]();
  });
}

/** Tells a person what went wrong, in the place of a picture that does not come. */
function fail(error: unknown): void {
  const trouble = find("trouble");
  trouble.textContent = (error as Error).message;
  trouble.hidden = false;
  if (document.body.classList.contains("loading")) document.body.classList.add("failed");
}
