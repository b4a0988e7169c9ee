/**
 * pipeline export PATH --format FORMAT --out FOLDER [--teacher PIPELINE] [--licence TEXT] [--half]
 *
 * student | its graphs, its teacher's | a page that draws with them
 */
import { join } from "node:path";
import type { Context } from "../schemas/events.ts";
import { isFailure } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { exportWeb } from "../stages/export/web/export.ts";

/** Writes a static site that draws with a run in the browser, and says how to open it. Throws as `exportWeb` does. */
export async function exportPage(options: Parameters<typeof exportWeb>[0]): Promise<void> {
  const values = await exportWeb(options);
  options.context.report({ type: "result", stage: "export", values: { ...values, open: `pipeline serve ${options.out}` } });
}

/**
 * Writes OUT/site of the student and teacher of a whole job, and answers its folder. A student that is nothing for a browser is no reason
 * to fail a job whose work is done: why it has no page is a note then, and the answer undefined.
 */
export async function exportSiteOf(options: {
  out: string;
  teacher: string;
  settings: Settings;
  context: Context;
}): Promise<string | undefined> {
  const { out, teacher, settings, context } = options;
  const site = join(out, "site");
  try {
    // Which files it wrote is no news here.
    const report: Context["report"] = (event) => void (event.type !== "note" && context.report(event));
    await exportWeb({ run: join(out, "student"), teacher, out: site, settings, context: { ...context, report } });
    return site;
  } catch (error) {
    if (!isFailure(error)) throw error;
    context.report({ type: "note", stage: "site", message: error.message });
    return undefined;
  }
}
