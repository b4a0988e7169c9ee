/** The teacher's picture of the same noise and condition, beside the student's: many calls, so it comes when a hand rests. */
import type { Wish } from "../link.ts";
import type { Site } from "../messages.ts";
import { find, put } from "./elements.ts";
import type { Painter } from "./painter.ts";
import { readLoading } from "./start.ts";

const rest = 350; // milliseconds without a new wish

/** The teacher beside the student; nothing happens on a site without one. `current` is the wish that the page shows. */
export function createTeacher(options: {
  painter: Painter;
  site: Site;
  base: string;
  current: () => Wish;
  onFail: (error: unknown) => void;
}): { show: (wish: Wish) => void; toggle: () => void } {
  const { painter, site, base, current, onFail } = options;
  const folder = site.models.teacher;
  if (folder === undefined) return { show: () => {}, toggle: () => {} };
  const [figure, button, bar] = [find("teacher"), find("compare"), find<HTMLProgressElement>("teacher-bar")];
  const canvas = find<HTMLCanvasElement>("teacher-picture");
  let isLoading = false;
  let timer: number | undefined;

  async function load(): Promise<void> {
    const loading = await readLoading("teacher", folder as string, base);
    await painter.load(loading, site, "best", (done, total) => (bar.value = done / total));
  }

  async function draw(wish: Wish): Promise<void> {
    canvas.classList.add("stale");
    const place = { name: "teacher", urgency: 3, who: "teacher" } as const;
    const drawn = await painter.paint(place, { ...wish, calls: undefined }, (call, calls) => {
      bar.hidden = false;
      bar.value = call / calls;
    });
    if (!drawn) return;
    put(canvas, drawn);
    canvas.classList.remove("stale");
    bar.hidden = true;
  }

  function show(wish: Wish): void {
    if (figure.hidden) return;
    clearTimeout(timer);
    timer = setTimeout(() => draw(wish).catch(onFail), rest);
  }

  function toggle(): void {
    figure.hidden = !figure.hidden;
    button.setAttribute("aria-pressed", String(!figure.hidden));
    document.body.classList.toggle("pair", !figure.hidden);
    if (figure.hidden) painter.clear("teacher");
    else show(current());
    if (isLoading || figure.hidden) return;
    isLoading = true;
    load().catch((error) => {
      isLoading = false; // the next press tries again
      onFail(error);
    });
  }

  button.addEventListener("click", toggle);
  return { show, toggle };
}
