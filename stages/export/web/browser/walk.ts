/** The walk from one noise to another: a slider, and a way there and back that plays at the speed of one picture a frame. */
import type { Wish } from "../link.ts";
import { find, put } from "./elements.ts";
import type { Painter } from "./painter.ts";

const there = 4000; // milliseconds from one end to the other

type Way = NonNullable<Wish["walk"]>;

/** The slider at work: `onWalk` is told where between the two noises the picture is to be, `current` is the wish that the page shows. */
export function createWalk(options: {
  painter: Painter;
  current: () => Wish;
  onWalk: (walk: Way) => void;
  onFail: (error: unknown) => void;
}): { show: () => void; showEnds: () => void; toggle: () => void; stop: () => void } {
  const { painter, current, onWalk, onFail } = options;
  const [slider, play, end] = [find<HTMLInputElement>("walk"), find("play"), find("other-end")];
  let frame: number | undefined; // of the playing
  let shown = "";

  /** Where the walk leads, from wherever the page stands: the next picture of the seed unless somebody chose another. */
  const goal = (): Way => {
    const { walk, seed, index } = current();
    return walk ?? { seed, index: index + 1, at: 0 };
  };

  function stop(): void {
    if (frame !== undefined) cancelAnimationFrame(frame);
    frame = undefined;
    play.setAttribute("aria-pressed", "false");
    (play.firstElementChild as HTMLElement).textContent = "Play";
  }

  function toggle(): void {
    if (frame !== undefined) {
      stop();
      return;
    }
    play.setAttribute("aria-pressed", "true");
    (play.firstElementChild as HTMLElement).textContent = "Stop";
    // The way there and back is an angle that grows with time; it begins where the slider stands.
    const begun = performance.now() - (Math.acos(1 - 2 * goal().at) / Math.PI) * there;
    const step = (now: number): void => {
      frame = requestAnimationFrame(step);
      onWalk({ ...goal(), at: (1 - Math.cos(((now - begun) / there) * Math.PI)) / 2 });
    };
    frame = requestAnimationFrame(step);
  }

  slider.addEventListener("input", () => {
    stop();
    onWalk({ ...goal(), at: Number(slider.value) / 1000 });
  });
  end.addEventListener("click", () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000;
    onWalk({ seed, index: 0, at: goal().at });
  });
  play.addEventListener("click", toggle);

  return {
    toggle,
    stop,
    show: () => {
      const { walk } = current();
      if (!walk && frame !== undefined) stop();
      slider.value = String(Math.round((walk?.at ?? 0) * 1000));
    },
    showEnds: () => {
      const wish = current();
      const goes = goal();
      const { seed, index, caption, label, calls } = wish;
      const wanted = JSON.stringify([seed, index, goes.seed, goes.index, caption, label, calls]);
      if (wanted === shown) return;
      shown = wanted;
      for (const [id, which] of Object.entries({ from: { seed, index }, to: { seed: goes.seed, index: goes.index } })) {
        painter
          .paint({ name: `walk ${id}`, urgency: 1, who: "student" }, { ...wish, ...which, walk: undefined })
          .then((drawn) => drawn && put(find<HTMLCanvasElement>(id), drawn), onFail);
      }
    },
  };
}
