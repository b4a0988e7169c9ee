/** `like` as in SQL: % stands for any letters, also none, and _ for one. */

const bits = 32; // of a word

/**
 * Whether a whole text is of this form. One pass over the text, without a step back: the states in which the form can be
 * after a letter are the bits of a number (bitap, Baeza-Yates and Gonnet 1992), so the time is the text's length times
 * the form's in words of 32 letters, whatever both hold.
 */
export function likeMatcher(form: string): (text: string) => boolean {
  const letters = [...form].filter((letter) => letter !== "%");
  const words = Math.floor(letters.length / bits) + 1;
  const stays = new Uint32Array(words); // states that any letter leaves as they are: a % stands there
  const any = new Uint32Array(words); // states that any letter leads on
  const each = new Map<string, Uint32Array>(); // states that a letter leads on; of all letters that the form names
  const put = (set: Uint32Array, state: number) => void (set[Math.floor(state / bits)]! |= 2 ** (state % bits));
  let state = 0;
  for (const letter of form) {
    if (letter === "%") put(stays, state);
    else if (letter === "_") put(any, state++);
    else {
      const set = each.get(letter) ?? new Uint32Array(words);
      each.set(letter, set);
      put(set, state++);
    }
  }
  for (const set of each.values()) for (let i = 0; i < words; i++) set[i]! |= any[i]!;
  const last = Math.floor(state / bits);

  return (text) => {
    const states = new Uint32Array(words);
    states[0] = 1;
    for (const letter of text) {
      const leads = each.get(letter) ?? any;
      let carry = 0;
      let alive = 0;
      for (let i = 0; i < words; i++) {
        const [before, on] = [states[i]!, states[i]! & leads[i]!];
        states[i] = (on << 1) | carry | (before & stays[i]!);
        carry = on >>> (bits - 1);
        alive |= states[i]!;
      }
      if (alive === 0) return false;
    }
    return ((states[last]! >>> (state % bits)) & 1) === 1;
  };
}
