import { cutCaptions } from "../../models/text/cut-captions.ts";
import { createTokenizer, learnTokenizer, PADDING } from "../../models/text/tokenizer.ts";
import { tokenizerSchema } from "../../schemas/model.ts";
import { assert, suite } from "../harness.ts";

const test = suite("tokenizer");

const colours = ["red", "green", "blue", "golden"];
const kinds = ["castle", "lighthouse", "sailing boat", "fox"];
const captions = colours.flatMap((colour) =>
  kinds.flatMap((kind) => [`A ${colour} ${kind}, at night.`, `two ${colour} ${kind}s by the sea`]),
);
const learned = learnTokenizer({ captions, vocabulary: 128 });
const tokenizer = createTokenizer(learned);
const pieces = (text: string) => [...tokenizer.encode(text, 200)].filter((id) => id !== PADDING).length - 1;

test("decoding gives the text back, lower-cased and with single spaces", () => {
  for (const caption of [...captions, "", "fox", "A fox's red-golden boat (two)!", "  A\n\tRED   fox "]) {
    const expected = caption.toLowerCase().trim().replace(/\s+/g, " ");
    assert.is(tokenizer.decode(tokenizer.encode(caption, 200)), expected);
  }
});

test("characters the captions never showed are spelt in bytes", () => {
  for (const text of ["żółw", "狐 fox", "🦊🦊", "q\u0301uartz", "naïve @ 100%"]) {
    assert.is(tokenizer.decode(tokenizer.encode(text, 200)), text);
  }
  assert.is(pieces("🦊"), 1 + 8); // the space, then four bytes
});

test("frequent words become single pieces", () => {
  for (const word of [...colours, "castle", "lighthouse", "the"]) assert.is(pieces(word), 1, word);
  assert.ok(tokenizer.size <= 128);
});

test("merges follow the definition: a slow recount at every step agrees", () => {
  const spellings = captions.flatMap((caption) =>
    [...` ${caption.toLowerCase()}`.matchAll(/ ?[a-z]+| ?[^\sa-z]/g)].map(([word]) => [...word]),
  );
  for (const [left, right] of learned.merges) {
    const totals = new Map<string, number>();
    for (const word of spellings) {
      for (let i = 0; i + 1 < word.length; i++) {
        const key = `${word[i]}\n${word[i + 1]}`;
        totals.set(key, (totals.get(key) ?? 0) + 1);
      }
    }
    const [best] = [...totals].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0]!;
    assert.is(`${left}\n${right}`, best);
    for (const word of spellings) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
      }
    }
  }
});

test("learning does not depend on the order of the captions; ties go to the first pair in order", () => {
  assert.equal(learnTokenizer({ captions: [...captions].reverse(), vocabulary: 128 }), learned);
  const tied = learnTokenizer({ captions: ["dc", "ba", "dc", "ba"], vocabulary: 64 });
  assert.equal(tied.merges, [
    [" ", "b"],
    [" ", "d"],
    [" b", "a"],
    [" d", "c"],
  ]);
});

test("long captions are cut, short ones padded, and every caption ends", () => {
  const long = tokenizer.encode(captions.join(" "), 8);
  const whole = tokenizer.encode(captions.join(" "), 4000);
  assert.is(long.length, 8);
  assert.equal(long.subarray(0, 7), whole.subarray(0, 7));
  const end = tokenizer.encode("", 8);
  assert.equal([...end.subarray(1)], Array(7).fill(PADDING));
  assert.is(long[7], end[0]);
});

test("it survives JSON", () => {
  const again = createTokenizer(tokenizerSchema.parse(JSON.parse(JSON.stringify(learned))));
  for (const caption of captions) assert.equal(again.encode(caption, 24), tokenizer.encode(caption, 24));
  assert.not.ok(tokenizerSchema.safeParse({ ...learned, merges: [["a"]] }).success);
  assert.throws(() => learnTokenizer({ captions, vocabulary: 10 }), /network.vocabulary/);
});

test("a script with thousands of characters leaves room for merges", () => {
  const many = Array.from({ length: 3000 }, (_, i) => `${String.fromCodePoint(0x4e00 + i)} fox`);
  const { characters, merges } = learnTokenizer({ captions: many, vocabulary: 128 });
  assert.ok(characters.length <= 64);
  assert.ok(merges.some(([left, right]) => left + right === " fox"));
});

test("captions that are longer than an encoder reads: how many, and how many become equal", () => {
  const letters = { ids: (caption: string) => [...caption].map((letter) => letter.charCodeAt(0)) };
  const cut = (all: string[], length: number) => cutCaptions({ captions: all, tokenizer: letters, length });
  assert.equal(cut(["abc", "abd", "x"], 4), { longer: 0, equal: 0, different: 0, left: 0, needed: 4 });
  // Two letters and the end are read: abc, abd (twice) and ab look alike, xyz is cut and still alone.
  assert.equal(cut(["abc", "abd", "abd", "ab", "xyz", "q"], 3), { longer: 4, equal: 4, different: 3, left: 1, needed: 4 });
  assert.equal(cut(["abc", "abd", "xyz", "xyw"], 3), { longer: 4, equal: 4, different: 4, left: 2, needed: 4 });
  assert.equal(cut(["abcd", "abcd"], 3), { longer: 2, equal: 0, different: 0, left: 0, needed: 5 });
  // By the learned pieces: what is counted as cut is what encoding loses.
  for (const length of [3, 5, 8]) {
    const lost = captions.filter((caption) => tokenizer.decode(tokenizer.encode(caption, length)) !== caption.toLowerCase());
    const { longer, needed } = cutCaptions({ captions, tokenizer, length });
    assert.is(longer, lost.length);
    assert.is(cutCaptions({ captions, tokenizer, length: needed }).longer, 0);
    assert.ok(cutCaptions({ captions, tokenizer, length: needed - 1 }).longer > 0);
  }
});

test.run();
