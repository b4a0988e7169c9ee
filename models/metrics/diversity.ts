import { integers } from "../../schemas/numbers/philox.ts";

/**
 * Mean Euclidean feature distance of two different samples of the same condition: a generator that answers each
 * condition with one picture has none. `conditions` names that of each row of `features` [rows, dimension]. Taken over
 * `pairs` pairs that the seed draws (row evenly, then partner); undefined where no condition has two rows.
 */
export function conditionalDiversity({
  features,
  dimension,
  conditions,
  seed = 0,
  pairs = 50_000,
}: {
  features: Float32Array;
  dimension: number;
  conditions: readonly string[];
  seed?: number;
  pairs?: number;
}): number | undefined {
  const groups = new Map<string, number[]>();
  for (const [row, condition] of conditions.entries()) {
    const group = groups.get(condition);
    if (group) group.push(row);
    else groups.set(condition, [row]);
  }
  const partnered = [...groups.values()].filter((group) => group.length > 1);
  const members = partnered.flatMap((group) => group.map((row, place) => ({ row, place, group })));
  if (members.length === 0) return undefined;
  const firsts = integers({ seed, stream: "diversity/first", length: pairs, below: members.length });
  const steps = integers({ seed, stream: "diversity/second", length: pairs, below: 2 ** 31 });
  let total = 0;
  for (let pair = 0; pair < pairs; pair++) {
    const { row, place, group } = members[firsts[pair]!]!;
    const partner = group[(place + 1 + (steps[pair]! % (group.length - 1))) % group.length]!;
    let sum = 0;
    for (let k = 0, p = row * dimension, q = partner * dimension; k < dimension; k++, p++, q++) {
      sum += (features[p]! - features[q]!) ** 2;
    }
    total += Math.sqrt(sum);
  }
  return total / pairs;
}
