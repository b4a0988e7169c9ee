/** The report's sections as HTML: what the survey of a store says, for a page that is written or served. */
import type { Manifest } from "../../../schemas/manifest.ts";
import type { LeftOut } from "../../../schemas/left-out.ts";
import { bytesInWords, numberInWords } from "../../../schemas/words.ts";
import { type Markup, markup } from "../../picture/markup.ts";
import { healthOf } from "../health.ts";
import { type Facts, leftOutKinds } from "../facts.ts";
import { isHere, type ShardFacts } from "../ends.ts";
import type { Outlier, Survey } from "../survey.ts";
import { channelChart, driftChart, histogramChart, short } from "./charts.ts";
import { leftOutLines } from "./left-out.ts";
import type { Course } from "../trajectory.ts";

/** Everything above and below the gallery. */
export interface Sections {
  overview: Markup;
  channels: Markup;
  shards: Markup;
  quarantine: Markup;
}

const mostClasses = 40;
const mostShards = 2000;

/** The sections of a store; `leftOut` is what its left-out.json says, where it has one. */
export function sectionsOf(manifest: Manifest, facts: Facts, survey: Survey, leftOut?: readonly LeftOut[]): Sections {
  return {
    overview: overview(manifest, facts, survey),
    channels: channels(survey),
    shards: shards(survey.shards),
    quarantine: markup`${quarantine(survey)}${leftOut && leftOutOf(leftOut)}`,
  };
}

/** Facts by name, but those that the figures above them tell. */
function factList(facts: Facts): Markup {
  const told = ["kind", "rows", "shards", "size", "rejected", "latent", "tokens", "duplicates", "not finite", ...leftOutKinds];
  return markup`<dl>${Object.entries(facts)
    .filter(([name]) => !told.includes(name))
    .map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

function overview(manifest: Manifest, facts: Facts, survey: Survey): Markup {
  const hints = Object.entries(healthOf(manifest, survey)).map(([about, hint]) => markup`<li><b>${about}</b>: ${hint}</li>`);
  const here = survey.shards.filter(isHere).length;
  const noun = manifest.kind === "tokens" ? "grid" : "latent";
  const figures = [
    [whole(survey.rows), `rows of ${whole(manifest.entries)} planned`],
    [`${here} / ${survey.planned}`, "shards"],
    [bytesInWords(survey.bytes), "on disk"],
    [manifest.shape.join("\u00d7"), `${manifest.dtype} ${noun}s`],
    [whole(survey.duplicates.repeated), `repeated ${noun}s`],
    [whole(survey.latent.statistics.nonFinite), "values not finite"],
    [whole(survey.rejected.count), "rejected"],
  ];
  const list = figures.map(([value, name]) => markup`<li><b>${value}</b><span>${name}</span></li>`);
  const health = hints.length > 0 ? hints : markup`<li class="well">Nothing unusual was seen.</li>`;
  const top = markup`<ul class="figures">${list}</ul><h3>Health</h3><ul class="health">${health}</ul>`;
  return markup`${top}${factList(facts)}${balance(manifest, survey)}${outliers(survey)}`;
}

function balance({ classes }: Manifest, { conditions: { labels } }: Survey): Markup | undefined {
  if (labels.size === 0) return undefined;
  const counts = [...labels].sort((a, b) => a[0] - b[0]);
  const most = counts.reduce((largest, [, count]) => Math.max(largest, count), 0);
  const shown = counts.length <= mostClasses ? counts : [...counts].sort((a, b) => b[1] - a[1]).slice(0, mostClasses);
  const bars = shown.map(([label, count]) => {
    const share = Math.max(0.4, (100 * count) / most).toFixed(1); // the least is seen too
    const bar = markup`<i><svg aria-hidden="true"><rect class="bar" width="${share}%" height="100%" rx="2"/></svg></i>`;
    return markup`<span>${classes[label] ?? `class ${label}`}</span>${bar}<span>${whole(count)}</span>`;
  });
  const rest =
    counts.length > shown.length ? markup`<p class="soft">The ${shown.length} most frequent of ${counts.length} classes.</p>` : undefined;
  return markup`<h3>Classes</h3><div class="bars">${bars}</div>${rest}`;
}

function outliers({ farthest, peaks }: Survey): Markup | undefined {
  const line = (kind: string, { id, distance, peak }: Outlier) => {
    const link = markup`<button type="button" class="link" data-row="${id}">${id}</button>`;
    return markup`<tr><td>${kind}</td>${number(link)}${number(short(distance))}${number(short(peak))}</tr>`;
  };
  const lines = [
    ...farthest.slice(0, 5).map((row) => line("farthest from the mean", row)),
    ...peaks.slice(0, 5).map((row) => line("largest value", row)),
  ];
  if (lines.length === 0) return undefined;
  const words = "In standard deviations of each channel: over all its values (root mean square, 1 is usual), and of its largest value.";
  const listed = table(["kind", "row#", "rms z#", "largest |z|#"], lines, "Rows that stand out");
  return markup`<h3>Rows that stand out</h3><p class="soft">${words}</p>${listed}`;
}

function channels({ latent, noise, course, rows }: Survey): Markup {
  if (rows === 0) return markup`<p>No row is there yet.</p>`;
  const charts = (kind: string, { statistics, histograms }: Survey["latent"], curve: boolean) =>
    histograms.map((histogram, c) =>
      histogramChart({ title: `${kind} ${c}`, histogram, mean: statistics.mean[c]!, std: statistics.std[c]!, curve }),
    );
  const { mean, std, min, max } = latent.statistics;
  const lines = mean.map((_, c) => {
    const cells = [mean, std, min, max].map((values) => number(short(values[c]!)));
    return markup`<tr>${number(c)}${cells}</tr>`;
  });
  const checked = noise && noise.mismatched > 0 ? "" : "; what was looked at is what the seed gives";
  const about = markup`<h3>Noise</h3><p class="soft">The curve is the unit normal${checked}.</p>`;
  const noises = noise && markup`${about}<div class="charts">${charts("noise", noise, true)}</div>`;
  const latents = markup`<div class="charts">${channelChart(latent.statistics)}${charts("latent", latent, false)}</div>`;
  const numbers = table(["channel#", "mean#", "std#", "min#", "max#"], lines, "Channels in numbers");
  return markup`${latents}${noises}${course && states(course)}<h3>In numbers</h3>${numbers}`;
}

/** The teacher's states on the way, over all channels of each. */
function states({ states }: Course): Markup {
  const lines = states.flatMap(({ name, sigma, statistics }) => {
    if (!statistics) return [];
    const { mean, std, min, max } = statistics;
    const cells = [sigma, average(mean), Math.sqrt(average(std.map((value) => value ** 2))), Math.min(...min), Math.max(...max)];
    return [markup`<tr><td>${name}</td>${cells.map((value) => number(short(value)))}</tr>`];
  });
  if (lines.length === 0) return markup``;
  return markup`<h3>States on the way</h3>${table(["column", "sigma#", "mean#", "std#", "min#", "max#"], lines, "States on the way")}`;
}

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function shards(all: readonly ShardFacts[]): Markup {
  const lines = all.slice(0, mostShards).map(({ shard, count, state, rows, bytes, failed, mean, std, problem }) => {
    const cells = !isHere({ state }) ? ["", "", "", "", ""] : [whole(rows), whole(failed), bytesInWords(bytes), short(mean), short(std)];
    const told = problem ? `: ${problem}` : "";
    const range = number(count > 1 ? `${shard} to ${shard + count - 1}` : shard);
    return markup`<tr>${range}<td class="${state}${problem ? " wrap" : ""}">${state}${told}</td>${cells.map(number)}</tr>`;
  });
  const rest =
    all.length > mostShards ? markup`<p class="soft">The first ${whole(mostShards)} of ${whole(all.length)} shards.</p>` : undefined;
  const listed = table(["shard#", "state", "rows#", "rejected#", "bytes#", "mean#", "std#"], lines, "Shards one by one");
  return markup`${driftChart(all)}<h3>One by one</h3>${listed}${rest}`;
}

function quarantine({ rejected: { count, reasons, first } }: Survey): Markup {
  if (count === 0) return markup`<p>Nothing was rejected.</p>`;
  const wrapped = (words: string) => markup`<td class="wrap">${words}</td>`;
  const grouped = reasons.map(([reason, times]) => markup`<tr>${number(whole(times))}${wrapped(reason)}</tr>`);
  const lines = first.map(({ id, name, shard, reason }) => {
    return markup`<tr>${number(id)}${number(shard)}<td>${name ?? ""}</td>${wrapped(reason)}</tr>`;
  });
  const rest = count > first.length ? markup`<p class="soft">The first ${whole(first.length)} of ${whole(count)}.</p>` : undefined;
  const listed = table(["id#", "shard#", "name", "reason"], lines, "Rejected entries");
  return markup`<h3>Reasons</h3>${table(["rows#", "reason"], grouped, "Reasons")}<h3>One by one</h3>${listed}${rest}`;
}

/** Captions, labels and files that were in the input and are in no row. */
function leftOutOf(list: readonly LeftOut[]): Markup {
  if (list.length === 0) return markup`<h3>Left out</h3><p>Nothing else was left out.</p>`;
  return markup`<h3>Left out</h3>${table(["how many#", "of", "reason", "the first"], leftOutLines(list), "Left out")}`;
}

/** A cell of a number, given as it is to be shown. */
const number = (shown: Markup | string | number): Markup => markup`<td class="number">${shown}</td>`;

/** A table that scrolls, also by keyboard; a name that ends in # heads a column of numbers. */
function table(names: readonly string[], lines: readonly Markup[], label: string): Markup {
  const heads = names.map((name) =>
    name.endsWith("#") ? markup`<th scope="col" class="number">${name.slice(0, -1)}</th>` : markup`<th scope="col">${name}</th>`,
  );
  const content = markup`<thead><tr>${heads}</tr></thead><tbody>${lines}</tbody>`;
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table>${content}</table></div>`;
}

const whole = (value: number): string => (Number.isInteger(value) ? value.toLocaleString("en-US") : numberInWords(value));
