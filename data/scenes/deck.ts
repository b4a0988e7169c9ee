import { permutation } from "../../schemas/numbers/philox.ts";
import { type Attributes, colours, combinationCount, counts, kinds, settings, times } from "./attributes.ts";

/** The least common multiple of the numbers of kinds, settings and counts: also a multiple of colours and times. */
const HAND = 120;

/**
 * The attributes of picture `index`, dealt so that any number of pictures from 0 on is nearly balanced: each hand of
 * 120 holds every value of every attribute equally often, each round of 2,880 every combination exactly once.
 */
export function deal({ seed, index }: { seed: number | bigint; index: number }): Attributes {
  const hand = Math.floor(index / HAND);
  const hands = combinationCount / HAND;
  const shuffle = (use: string) => remember(`${seed}/${use}`, () => permutation({ seed, stream: use, length: HAND }));
  // A card is a triple (kind, setting, count), by the Chinese remainder theorem. A hand holds all cards once; the
  // colour and time of a card start anywhere and advance from hand to hand, so that a round meets all 24 of each.
  const card = shuffle(`scenes.hand/${hand}`)[index % HAND] as number;
  const round = Math.floor(hand / hands);
  const turn = hand % hands;
  const colour = (shuffle(`scenes.colour/${round}`)[card] as number) + turn;
  const time = (shuffle(`scenes.time/${round}`)[card] as number) + Math.floor(turn / colours.length);
  const from = <T>(values: readonly T[], at: number): T => values[at % values.length] as T;
  return {
    kind: from(kinds, card),
    colour: from(colours, colour),
    setting: from(settings, card),
    time: from(times, time),
    count: from(counts, card),
  };
}

/** Neighbours share their shuffles: the last few are kept. */
function remember(key: string, make: () => Uint32Array): Uint32Array {
  let found = remembered.get(key);
  if (!found) {
    if (remembered.size >= 32) remembered.clear();
    found = make();
    remembered.set(key, found);
  }
  return found;
}
const remembered = new Map<string, Uint32Array>();
