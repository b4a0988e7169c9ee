/** A benchmark that measures nothing, for the test of what all of them write. */
import { openBench } from "./record.ts";

const { settings, words, record } = openBench({ ROUNDS: "5", ONLY: "all" });
record({ only: settings.ONLY, rounds: Number(settings.ROUNDS), words: words.join(" ") });
