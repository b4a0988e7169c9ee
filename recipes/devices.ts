/** Lists of devices, as "cuda:0,cuda:1": a kind of device, and which ones of it. */
import { badUsage } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { visible } from "../schemas/visible.ts";
import { isGroup } from "./merge.ts";

/**
 * Values of settings with a list of devices in `engine.device` taken apart into the kind (`engine.device`) and the numbers
 * (`engine.cards`); others are as they were. Throws a usage failure that names the device which cannot be in a list, and `source`.
 */
export function withDevicesApart(values: unknown, source: string): unknown {
  if (!isGroup(values) || !isGroup(values.engine)) return values;
  const { device } = values.engine;
  if (typeof device !== "string" || !/[:,]/.test(device)) return values;
  const refuse = (why: string): never => {
    throw badUsage(`Cannot set engine.device to ${visible(JSON.stringify(device), 200)} (${source}): ${why}`);
  };
  const named = device.split(",").map((name) => {
    const [, kind = "", number] = /^([^:]*)(?::(.*))?$/.exec(name.trim()) ?? [];
    return { name: visible(name.trim(), 100), kind, number };
  });
  for (const { name, kind, number } of named) {
    if (kind === "cpu") refuse("the CPU is one device, whose threads --workers N divides");
    if (kind === "webgpu") refuse("ONNX Runtime chooses the adapter of WebGPU itself; name webgpu alone");
    if (kind !== "cuda") refuse(`"${name}" is no device of a list, which is one of cuda:0, cuda:1 and so on`);
    if (!/^\d{1,3}$/.test(number ?? "")) refuse(`"${name}" has no number of a card; name cards as in cuda:0,cuda:1`);
  }
  const cards = named.map(({ number }) => Number(number));
  const twice = cards.find((card, i) => cards.indexOf(card) !== i);
  if (twice !== undefined) refuse(`card ${twice} is named twice`);
  return { ...values, engine: { ...values.engine, device: "cuda", cards } };
}

/** Settings with a worker on every card that is named, where nothing else was said of how many workers there are. */
export function onEveryCard(settings: Settings): Settings {
  const workers = settings.engine.cards?.length ?? 1;
  if (workers === 1) return settings;
  const spread = <T extends { workers: number }>(group: T): T => (group.workers === 1 ? { ...group, workers } : group);
  const pretrain = Object.fromEntries(Object.entries(settings.pretrain).map(([what, group]) => [what, spread(group)]));
  return { ...settings, pretrain: pretrain as Settings["pretrain"], simulate: spread(settings.simulate), train: spread(settings.train) };
}
