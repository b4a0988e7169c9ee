/** Figures as tables have them. */
import type { Summary } from "./records.ts";

/** A share in percent, to three digits. */
export const percent = ({ mean }: Summary): string => `${digits(100 * mean, 3)} %`;

/** Mean and spread, the latter to two digits; the mean has no digits beyond the spread's. */
export function plusMinus({ mean, spread }: Summary): string {
  if (spread === undefined || spread === 0) return digits(mean, 4);
  const places = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(spread))));
  return `${mean.toFixed(places)} ± ${spread.toFixed(places)}`;
}

/** A number to so many significant digits, without an exponent where it can be helped. */
export function digits(value: number, significant: number): string {
  return String(Number(value.toPrecision(significant)));
}

export const grouped = (value: number): string => value.toLocaleString("en");
