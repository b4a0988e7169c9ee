/** Runs a pipeline on the tiny job of job.ts, to be killed from outside: victim.ts COMMAND OUT JOB. Says when it is at work. */
import type { Context } from "../../schemas/events.ts";
import { commands, type Job } from "./job.ts";

const [command = "", out = "", text = ""] = process.argv.slice(2);
const job = JSON.parse(text) as Job;
let begun = false;
const context: Context = {
  signal: new AbortController().signal,
  report: ({ type }) => {
    if (type !== "progress" || begun) return;
    begun = true;
    process.stdout.write("at work\n");
  },
};
await commands[command]!(job, out, context);
process.stdout.write("done\n");
process.exit(); // a worker may be slow to leave
