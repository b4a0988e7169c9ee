/** Commands that shells use. */
import type { Question } from "../command.mts";

export const completion: Question = {
  name: "completion",
  summary: "print the script by which a shell completes commands, flags, choices and settings",
  positionals: [{ name: "SHELL", about: "whose script", choices: ["bash", "zsh", "fish"] }],
  flags: {},
  example: "pipeline completion bash",
  answer: async ({ positionals: [shell] }) => {
    const { packageText } = await import("../../schemas/package.ts");
    return packageText(`bin/shells/completion.${shell}`).trimEnd();
  },
};

export const complete: Question = {
  name: "complete",
  summary: "answer what the last of these words may become, one candidate a line; the scripts of `completion` ask",
  positionals: [{ name: "WORDS", about: "of the line after `pipeline`, up to the cursor", many: true, optional: true }],
  flags: {},
  internal: true,
  example: "pipeline complete -- simulate --sol",
  answer: async ({ positionals, table }) => {
    const { candidates } = await import("../completion.mts");
    const { createMemory } = await import("../memory.mts");
    return (await candidates({ words: positionals, table, remembered: createMemory() })).join("\n");
  },
};
