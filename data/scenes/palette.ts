import type { Colour, Setting, Time } from "./attributes.ts";

/** The three tones of a subject, and the colour of its small details. */
export interface Tones {
  main: string;
  deep: string;
  detail: string;
}

export const subjectTones: Record<Colour, Tones> = {
  red: { main: "#e0433a", deep: "#ad2c30", detail: "#fff3dc" },
  yellow: { main: "#fac62c", deep: "#dd9a1c", detail: "#fff8e2" },
  green: { main: "#2f9e52", deep: "#1f7640", detail: "#f4f6d8" },
  blue: { main: "#2b6fd3", deep: "#1e4fa0", detail: "#eaf3ff" },
  purple: { main: "#8a4fc8", deep: "#63349a", detail: "#f6e9ff" },
  white: { main: "#fffaf0", deep: "#d3cada", detail: "#e9a9a0" },
};

/** Outline, wood and flame: the same in every picture. */
export const ink = "#2a2140";
export const wood = "#8f5f3f";
export const flame = "#ff9a3d";

/** From the top of the picture to the horizon; then the light itself, and clouds. */
export const skies: Record<Time, { stops: [string, string, string]; light: string; cloud: string }> = {
  dawn: { stops: ["#b4d2f2", "#f2d9e8", "#fff0cf"], light: "#ffeeac", cloud: "#ffffff" },
  day: { stops: ["#58b2ec", "#93d0f3", "#d3eefa"], light: "#fff1a6", cloud: "#ffffff" },
  sunset: { stops: ["#c95f93", "#f08f78", "#ffd08c"], light: "#fff0b8", cloud: "#ffb59a" },
  night: { stops: ["#12184a", "#222d6e", "#3d4a94"], light: "#fdf3c8", cloud: "#33407f" },
};

/** Near and far ground, hour by hour: light mixes too unlike paint for a rule to look good. */
const grounds: Record<Setting, Record<Time, [near: string, far: string]>> = {
  sea: {
    dawn: ["#62b3c6", "#a9d6da"],
    day: ["#1f8fb8", "#55b9d0"],
    sunset: ["#6a6bb0", "#b487b8"],
    night: ["#1b4f86", "#2d6ca2"],
  },
  meadow: {
    dawn: ["#a2d27e", "#cfe8a6"],
    day: ["#8ccb58", "#b8e07a"],
    sunset: ["#98a04c", "#c8b562"],
    night: ["#2a6d59", "#40876c"],
  },
  desert: {
    dawn: ["#eccb9c", "#f7e4be"],
    day: ["#eab869", "#f5d998"],
    sunset: ["#d97f4e", "#f0aa66"],
    night: ["#76586a", "#93727a"],
  },
  snow: {
    dawn: ["#c6d6f0", "#e0e8f8"],
    day: ["#c4def6", "#e9f4fd"],
    sunset: ["#dfb4d2", "#f5d5df"],
    night: ["#8094cd", "#a5b6e2"],
  },
  city: {
    dawn: ["#a29db6", "#c8c1d3"],
    day: ["#878aa5", "#b2b8cf"],
    sunset: ["#76567e", "#ac7c9a"],
    night: ["#4b4370", "#5a5488"],
  },
};

/** What a setting's small decoration is mixed from: foam, flowers, shaded stone, firs, kerbs. */
const accents: Record<Setting, { colour: string; share: number }> = {
  sea: { colour: "#ffffff", share: 0.45 },
  meadow: { colour: "#fff6d2", share: 0.8 },
  desert: { colour: "#8a5a4a", share: 0.35 },
  snow: { colour: "#3f7096", share: 0.45 },
  city: { colour: "#ffffff", share: 0.3 },
};

/** Ground colours of a setting at an hour. */
export function groundTones(setting: Setting, time: Time): { near: string; far: string; detail: string } {
  const [near, far] = grounds[setting][time];
  const { colour, share } = accents[setting];
  return { near, far, detail: mix(near, colour, share) };
}

/** A colour between two, in sRGB: `share` 0 is the first and 1 the second. */
export function mix(first: string, second: string, share: number): string {
  const other = channels(second);
  const mixed = channels(first).map((value, c) => Math.round(value + share * ((other[c] as number) - value)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** "#rrggbb" as three numbers in 0..255. */
export function channels(colour: string): [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
