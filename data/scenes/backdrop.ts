import type { Setting } from "./attributes.ts";
import { groundTones, mix, skies } from "./palette.ts";
import type { Scene } from "./scene.ts";

/** Sky with sun or moon, clouds or stars, as SVG in a 64 x 64 box. */
export function sky({ time, layout: { light, whims, horizon } }: Scene): string {
  const { stops, light: colour, cloud } = skies[time];
  const [top, middle, low] = stops;
  const gradient =
    `<defs><linearGradient id="sky" x2="0" y2="1"><stop offset="0" stop-color="${top}"/>` +
    `<stop offset=".55" stop-color="${middle}"/><stop offset="1" stop-color="${low}"/></linearGradient></defs>` +
    `<rect width="64" height="${n(horizon + 4)}" fill="url(#sky)"/>`;
  const disc = (radius: number, opacity = 1) =>
    `<circle cx="${n(light.x)}" cy="${n(light.y)}" r="${radius}" fill="${colour}" opacity="${opacity}"/>`;
  const side = light.x < 32 ? 34 : 4;
  const clouds = [0, 1].map((i) => puff(side + 18 * pick(whims, i), 5 + 7 * i + 4 * pick(whims, i + 2), 9 - 2 * i, cloud));
  if (time === "night") return gradient + stars(whims) + disc(5.5) + crescent(light, stops[0]);
  if (time === "day") return gradient + disc(9, 0.3) + disc(6) + clouds.join("");
  if (time === "dawn") return gradient + disc(11, 0.4) + disc(7) + (clouds[0] as string);
  return gradient + disc(12, 0.35) + disc(8) + clouds.join("");
}

/** The land or water below the sky, from the horizon down. */
export function ground(scene: Scene): string {
  const { near, far, detail } = groundTones(scene.setting, scene.time);
  return settings[scene.setting](scene, { near, far, detail });
}

type Draw = (scene: Scene, tones: { near: string; far: string; detail: string }) => string;

const settings: Record<Setting, Draw> = {
  sea: ({ layout: { horizon, light, whims } }, { near, far, detail }) => {
    const wave = (y: number, shift: number) => {
      const x = -12 * shift;
      return `M${n(x)} ${n(y)}q6 -3.4 12 0t12 0t12 0t12 0t12 0t12 0t12 0V64H${n(x)}Z`;
    };
    return (
      shape(far, `M0 ${n(horizon)}H64V64H0Z`) +
      shape(mix(far, near, 0.5), wave(horizon + 6, pick(whims, 4))) +
      shape(near, wave(horizon + 13, pick(whims, 5))) +
      // The light glints on the water below it.
      [6, 7, 8].map((i) => dash(light.x - 5 + 4 * pick(whims, i), horizon + 3.5 + 8 * (i - 6), i - 2, detail)).join("")
    );
  },

  meadow: ({ layout: { horizon, whims } }, { near, far, detail }) =>
    hills(horizon, whims, far) +
    shape(near, roll(horizon + 7, 5 * pick(whims, 6) - 2.5)) +
    [4, 5, 6, 7, 8].map((i) => dot(4 + 56 * pick(whims, i), horizon + 12 + 12 * pick(whims, i + 3), 0.9, detail)).join(""),

  desert: ({ layout: { horizon, whims } }, { near, far, detail }) => {
    const x = 10 + 44 * pick(whims, 4);
    const tall = 9 + 4 * pick(whims, 5);
    return (
      shape(mix(far, detail, 0.45), `M${n(x - tall)} ${n(horizon + 2)}L${n(x)} ${n(horizon - tall)}L${n(x + tall)} ${n(horizon + 2)}Z`) +
      shape(mix(far, detail, 0.8), `M${n(x)} ${n(horizon - tall)}L${n(x + tall)} ${n(horizon + 2)}H${n(x + 2)}Z`) +
      shape(far, roll(horizon, 4 * pick(whims, 7) - 2)) +
      shape(near, roll(horizon + 8, 8 * pick(whims, 6) - 4))
    );
  },

  snow: ({ layout: { horizon, whims } }, { near, far, detail }) => {
    const fir = (i: number) => {
      const x = (i - 4) * 20 + 3 + 15 * pick(whims, i);
      const tall = 8 + 3 * pick(whims, i + 3);
      return shape(detail, `M${n(x)} ${n(horizon + 3 - tall)}l3.4 ${n(tall)}h-6.8Z`);
    };
    return (
      [4, 5, 6].map(fir).join("") +
      shape(far, roll(horizon, 4 * pick(whims, 7) - 2)) +
      shape(near, roll(horizon + 9, 5 * pick(whims, 8) - 2.5))
    );
  },

  city: ({ time, layout: { horizon, whims } }, { near, far, detail }) => {
    const lit = time === "night" ? "#ffd777" : mix(far, "#ffffff", 0.45);
    const towers = [0, 1, 2, 3, 4, 5].map((i) => {
      const x = i * 11 - 1;
      const top = horizon - 6 - 14 * pick(whims, 3 + i);
      const windows = [0, 1, 2].map((row) => `M${x + 2.5} ${n(top + 3 + 4 * row)}h2v2h-2ZM${x + 6.5} ${n(top + 3 + 4 * row)}h2v2h-2Z`);
      return shape(i % 2 ? far : mix(far, near, 0.6), `M${x} ${n(top)}h11V${n(horizon + 4)}h-11Z`) + shape(lit, windows.join(""));
    });
    return (
      towers.join("") +
      shape(mix(near, detail, 0.5), `M0 ${n(horizon + 3)}H64V${n(horizon + 6)}H0Z`) +
      shape(near, `M0 ${n(horizon + 6)}H64V64H0Z`)
    );
  },
};

function hills(horizon: number, whims: number[], colour: string): string {
  const left = 5 + 5 * pick(whims, 9);
  const right = 5 + 5 * pick(whims, 10);
  return shape(colour, `M0 64V${n(horizon)}Q16 ${n(horizon - left)} 34 ${n(horizon + 1)}Q50 ${n(horizon - right)} 64 ${n(horizon)}V64Z`);
}

/** A gentle ground line from side to side; `tilt` lifts the left and lowers the right. */
function roll(y: number, tilt: number): string {
  return `M0 64V${n(y - tilt)}C20 ${n(y - 4 - tilt)} 42 ${n(y + 4 + tilt)} 64 ${n(y + tilt)}V64Z`;
}

function puff(x: number, y: number, width: number, colour: string): string {
  const r = width / 4;
  const arc = (radius: number, dx: number, dy: number) => `a${n(radius)} ${n(radius)} 0 0 1 ${n(dx)} ${n(dy)}`;
  const bump = `M${n(x)} ${n(y)}${arc(r, r, -r)}${arc(1.5 * r, 3 * r, 0)}${arc(r, r, r)}Z`;
  return `<path fill="${colour}" opacity=".75" d="${bump}"/>`;
}

function stars(whims: number[]): string {
  return [0, 1, 2, 3, 4, 5, 6].map((i) => dot(4 + 9 * i + 5 * pick(whims, i), 3 + 22 * pick(whims, i + 4), 0.8, "#fdf3c8")).join("");
}

/** The dark disc that cuts the moon's. */
function crescent({ x, y }: { x: number; y: number }, colour: string): string {
  return `<circle cx="${n(x + 2.6)}" cy="${n(y - 1.6)}" r="4.6" fill="${mix(colour, "#222d6e", 0.3)}"/>`;
}

function dot(x: number, y: number, radius: number, colour: string): string {
  return `<circle cx="${n(x)}" cy="${n(y)}" r="${radius}" fill="${colour}"/>`;
}

function dash(x: number, y: number, width: number, colour: string): string {
  return `<path d="M${n(x)} ${n(y)}h${width}" stroke="${colour}" stroke-width="1.2" stroke-linecap="round"/>`;
}

function shape(colour: string, d: string): string {
  return `<path fill="${colour}" d="${d}"/>`;
}

function pick(whims: number[], index: number): number {
  return whims[index] as number;
}

/** Two decimals: enough for a sixty-fourth of a picture, and the same text everywhere. */
export function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}
