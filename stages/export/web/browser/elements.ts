/** The page's elements, and what is done with canvases and keys. */
import type { Drawn } from "../messages.ts";

/** The element of that id, which the page (../page.ts) is known to have. */
export function find<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind;
}

/** Shows a picture on a canvas of its size. */
export function put(canvas: HTMLCanvasElement, { pixels, width, height }: Drawn): void {
  canvas.getContext("2d")?.putImageData(new ImageData(pixels, width, height), 0, 0);
  canvas.classList.add("drawn");
}

/** Keeps what a canvas shows as a PNG, at the size it was drawn in. */
export function savePicture(canvas: HTMLCanvasElement, name: string): void {
  canvas.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}

/** Acts on keys that stand alone: not while somebody types, and not where a control has its own use for the key. */
export function onKeys(acts: Readonly<Record<string, () => void>>): void {
  addEventListener("keydown", (event) => {
    const { key, target, ctrlKey, metaKey, altKey, repeat } = event;
    const act = acts[key.toLowerCase()];
    const element = target as HTMLElement;
    const types = element.matches("textarea, select, input:not([type=radio], [type=range])");
    const presses = key === " " && element.matches("button, input, a");
    if (!act || types || presses || ctrlKey || metaKey || altKey || (repeat && key !== "n")) return;
    event.preventDefault();
    act();
  });
}
