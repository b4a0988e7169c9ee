/** Quantities in words, for people. */

/** Bytes in the largest unit that leaves at least 1: 1.2 GB. */
export function bytesInWords(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let scaled = count;
  let unit = 0;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toPrecision(2)} ${units[unit]}`;
}

/** 42 s, 9 m 05 s, 3 h 20 m, from 100 hours on 6 d 03 h. */
export function durationInWords(seconds: number): string {
  if (seconds > 0 && seconds < 1) return "under 1 s";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${String(whole % 60).padStart(2, "0")} s`;
  const hours = Math.floor(whole / 3600);
  if (hours >= 100) return `${Math.floor(hours / 24)} d ${String(hours % 24).padStart(2, "0")} h`;
  return `${hours} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} m`;
}

/** Four significant digits, no exponent where it can be avoided. */
export function numberInWords(value: number): string {
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return String(Math.round(value));
  return String(Number(value.toPrecision(4)));
}
