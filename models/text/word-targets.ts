/** The words of captions as targets for the perceptual network. */

/** A caption's distinct words, lower case. */
function wordsOf(caption: string): Set<string> {
  return new Set(caption.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
}

/**
 * The words worth recognising: in at least `least` and at most `most` of the captions (shares), most frequent first,
 * ties in code point order, `limit` at most. Words in every caption or in hardly any teach nothing.
 */
export function frequentWords(captions: Iterable<string>, options: { least?: number; most?: number; limit?: number } = {}): string[] {
  const { least = 0.005, most = 0.9, limit = 256 } = options;
  const counts = new Map<string, number>();
  let total = 0;
  for (const caption of captions) {
    total++;
    for (const word of wordsOf(caption)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count >= least * total && count <= most * total)
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([word]) => word);
}

/**
 * Targets [samples, classes + words] of a perceptual network: one-hot labels (a label of -1 is none), then 1 for each
 * word that the caption holds.
 */
export function perceptualTargets(options: {
  classes: number;
  words: readonly string[];
  labels?: ArrayLike<number>;
  captions?: readonly string[];
}): Float32Array {
  const { classes, words, labels, captions } = options;
  const samples = labels?.length ?? captions?.length ?? 0;
  const columns = new Map(words.map((word, i) => [word, classes + i]));
  const width = classes + words.length;
  const targets = new Float32Array(samples * width);
  for (let row = 0; row < samples; row++) {
    const label = labels?.[row] ?? -1;
    if (label >= 0 && label < classes) targets[row * width + label] = 1;
    for (const word of wordsOf(captions?.[row] ?? "")) {
      const column = columns.get(word);
      if (column !== undefined) targets[row * width + column] = 1;
    }
  }
  return targets;
}
