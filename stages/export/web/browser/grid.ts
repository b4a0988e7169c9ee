/** The sheet of variations: the pictures 0, 1, 2 ... of a seed, as `sample --seed --count` draws them. */
import type { Wish } from "../link.ts";
import { find, put } from "./elements.ts";
import type { Painter } from "./painter.ts";

/** `show` draws the sheet for a wish, picture by picture, while nothing more urgent is asked for. */
export function createGrid(options: { painter: Painter; onChoose: (index: number) => void; onFail: (error: unknown) => void }) {
  const { painter, onChoose, onFail } = options;
  const buttons = [...find("grid").querySelectorAll<HTMLButtonElement>("button")];
  let shown = "";

  for (const [i, button] of buttons.entries()) {
    button.addEventListener("click", () => onChoose(i));
    button.addEventListener("keydown", (event) => {
      const to = target(i, event.key);
      if (to === undefined) return;
      event.preventDefault();
      for (const [j, each] of buttons.entries()) each.tabIndex = j === to ? 0 : -1;
      buttons[to]?.focus();
    });
  }

  /** Which button an arrow key leads to. */
  function target(from: number, key: string): number | undefined {
    const top = buttons[0]?.offsetTop;
    const across = buttons.filter((button) => button.offsetTop === top).length;
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
    const to = key === "Home" ? 0 : key === "End" ? buttons.length - 1 : from + (steps[key] ?? Number.NaN);
    return buttons[to] ? to : undefined;
  }

  return {
    show: (wish: Wish): void => {
      for (const [i, button] of buttons.entries()) button.setAttribute("aria-pressed", String(i === wish.index && !wish.walk));
      const { seed, caption, label, calls } = wish;
      const wanted = JSON.stringify([seed, caption, label, calls]);
      if (wanted === shown) return;
      shown = wanted;
      for (const [i, button] of buttons.entries()) {
        const canvas = button.querySelector("canvas") as HTMLCanvasElement;
        painter
          .paint({ name: `grid ${i}`, urgency: 2 + i / 100, who: "student" }, { ...wish, index: i, walk: undefined })
          .then((drawn) => drawn && put(canvas, drawn), onFail);
      }
    },
  };
}
