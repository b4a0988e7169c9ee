/** Records as Markdown tables, and the sentence that says how a record was made. */
import type { Machine } from "../../../stages/doctor/machine.ts";
import { findingsOf, type StudyRecord } from "../../../stages/study/record.ts";
import { sizeInWords } from "../../../schemas/images.ts";
import { summarise } from "../../../stages/evaluate/measures.ts";
import { distancesAt, resultsOf } from "../../../stages/study/rows.ts";
import { tableRows } from "../../../stages/study/summary.ts";
import { digits, grouped, percent, plusMinus } from "./numbers.ts";
import type { BenchRecord, EvaluationRecord, ReconstructionRecord, Records, ResultRecord, Summary } from "./records.ts";

type Subject = EvaluationRecord["subjects"][number];

/** A subject of an evaluation's file, under a label of its own or its own name. */
export interface Wanted {
  file: string;
  role: string;
  label?: string;
}

/** The subject that plays a role in a file: student, teacher, pair, floor or ceiling; student2 is the one of two network calls. */
export function subjectOf(records: Records, { file, role }: Wanted): Subject {
  const { subjects } = records.read(file, "onestep-evaluation");
  const [, name, calls] = /^(.*?)(\d*)$/.exec(role) ?? [];
  const found = subjects.find((subject) => subject.role === name && (!calls || subject.evaluations === Number(calls)));
  if (!found) throw new Error(`Cannot find a ${role} in ${file}: it has ${subjects.map((subject) => subject.role).join(", ")}`);
  return found;
}

/**
 * The figures of who plays a role in a file: a subject of an evaluation; a variant of a study, with `distanceAt4` of four network
 * calls, or its teacher; of images drawn again the `tokenizer`'s own decoder or the student in so many `calls2`.
 */
export function figuresOf(records: Records, { file, role }: Wanted): Record<string, Summary> {
  const record = records.read(file);
  if (record.format === "onestep-evaluation") return subjectOf(records, { file, role }).figures;
  if (record.format === "onestep-study") return figuresOfVariant(record, role);
  const ways = record.format === "onestep-reconstruction" ? record.subjects : [];
  const found = ways.find(({ evaluations }) => role === (evaluations === 0 ? "tokenizer" : `calls${evaluations}`));
  if (!found) throw new Error(`Cannot find "${role}" in ${file}`);
  return found.figures;
}

function figuresOfVariant(record: StudyRecord, name: string): Record<string, Summary> {
  const { results, baselines, study } = findingsOf(record);
  const runs = resultsOf(name, results);
  const all = name === "teacher" && baselines ? [baselines.teacher] : runs.map(({ figures }) => figures);
  const over = (of: readonly (Summary | undefined)[]): Summary[] => {
    const found = of.flatMap((summary) => summary ?? []);
    return found.length === 0 ? [] : [found.length === 1 ? found[0]! : summarise(found.map(({ mean }) => mean))];
  };
  return Object.fromEntries([
    ...measured.flatMap((key) => over(all.map((figures) => figures[key])).map((summary) => [key, summary])),
    ...(study.calls ?? []).flatMap((calls) => over(distancesAt(runs, calls)).map((summary) => [`distanceAt${calls}`, summary])),
  ]);
}

const measured = ["frechetDistance", "kernelDistance", "precision", "recall", "diversity", "finestBand", "captionsObeyed"] as const;

/** What a role is called in tables, for subjects without a label of their own. */
const titles: Readonly<Record<string, string>> = {
  student: "**student**",
  teacher: "**teacher**",
  pair: "student against teacher, same noise",
  floor: "floor: one half of the images against the other",
  ceiling: "ceiling: decoded noise",
};

/** Speeds by subject: of a machine that was busy before the command began they say nothing, and none are shown. */
const speedsOf = ({ speed, load, machine }: EvaluationRecord): NonNullable<EvaluationRecord["speed"]> =>
  speed !== undefined && isCalm({ load, machine }) ? speed : {};

/** Whether at most half of the cores were wanted by others. */
const isCalm = ({ load, machine }: { load: number; machine: Machine }): boolean => load <= machine.cores / 2;

/** A row a subject; columns in which no row has a figure are left out. */
export function evaluationTable(records: Records, wanted: readonly Wanted[]): string {
  const teacher = wanted.find(({ role }) => role === "teacher");
  const reference = teacher && subjectOf(records, teacher).figures.frechetDistance?.mean;
  const rows = wanted.map((of) => {
    const { role, subject, evaluations, figures } = subjectOf(records, of);
    const speed = speedsOf(records.read(of.file, "onestep-evaluation"))[subject];
    const cell = (name: string): string => (figures[name] ? plusMinus(figures[name]) : "");
    const isComparable = reference !== undefined && role !== "pair" && figures.frechetDistance !== undefined;
    return {
      "": of.label ?? titles[role] ?? subject,
      NFE: evaluations === undefined ? "" : String(evaluations),
      "Fréchet distance": cell("frechetDistance"),
      "of the teacher's": isComparable ? digits(figures.frechetDistance!.mean / reference, 3) : "",
      "kernel distance": cell("kernelDistance"),
      precision: cell("precision"),
      recall: cell("recall"),
      duplicates: cell("duplicates"),
      diversity: cell("diversity"),
      "finest band, dB": cell("finestBand"),
      "captions obeyed": figures.captionsObeyed ? percent(figures.captionsObeyed) : "",
      "images/s": speed ? digits(speed.imagesASecond, 3) : "",
      "ms alone": speed ? digits(speed.millisecondsAnImage, 3) : "",
    };
  });
  return table(rows);
}

/** One line a file: how near a student, of a study the variant `role`, comes to its teacher's many calls. */
export function summaryTable(records: Records, wanted: readonly { file: string; label: string; role?: string }[]): string {
  const rows = wanted.map(({ file, label, role = "student" }) => {
    const [student, teacher] = [role, "teacher"].map((name) => comparable(records, { file, role: name })) as [Figures, Figures];
    const [one, many] = callsOf(records.read(file), role);
    const both = (name: string): string => `${plusMinus(student[name]!)} / ${plusMinus(teacher[name]!)}`;
    const [own, theirs] = [student.captionsObeyed, teacher.captionsObeyed];
    return {
      "student / teacher": label,
      NFE: `${one} / ${many}`,
      "Fréchet distance": both("frechetDistance"),
      ratio: `**${digits(student.frechetDistance!.mean / teacher.frechetDistance!.mean, 3)}**`,
      precision: both("precision"),
      recall: both("recall"),
      "captions obeyed": own && theirs ? `${percent(own)} / ${percent(theirs)}` : "",
    };
  });
  return table(rows);
}

type Figures = Readonly<Record<string, Summary>>;

/** The figures of who plays a role, a distance among them. */
function comparable(records: Records, { file, role }: Wanted): Figures {
  const figures = figuresOf(records, { file, role });
  if (!figures.frechetDistance) throw new Error(`Cannot find the distance of "${role}" in ${file}`);
  return figures;
}

/** Network calls an image of the student that plays a role in a record, and of its teacher. */
function callsOf(record: ResultRecord, role: string): (number | undefined)[] {
  if (record.format === "onestep-study") {
    const [run] = resultsOf(role, record.results);
    return [run?.figures.evaluations, record.baselines?.evaluations];
  }
  if (record.format !== "onestep-evaluation") return [];
  return [role, "teacher"].map((name) => record.subjects.find((subject) => subject.role === name)?.evaluations);
}

/** The rows of the study's own text. */
export function studyTable(record: StudyRecord): string {
  return tableOf(tableRows(findingsOf(record)));
}

/** A row a way of drawing images again. */
export function reconstructionTable({ subjects }: ReconstructionRecord): string {
  const names = { frechetDistance: "Fréchet distance", lpips: "LPIPS", psnr: "PSNR, dB" } as const;
  return table(
    subjects.map(({ subject, evaluations, figures, seeds }) => ({
      "": subject,
      NFE: evaluations === 0 ? "" : String(evaluations),
      images: grouped(seeds[0]?.count ?? 0),
      ...Object.fromEntries(Object.entries(names).map(([name, head]) => [head, figures[name] ? plusMinus(figures[name]) : ""])),
    })),
  );
}

/** The rows as they were recorded. */
export function benchTable({ rows }: BenchRecord): string {
  return tableOf(rows);
}

const tableOf = (rows: readonly Readonly<Record<string, number | string>>[]): string =>
  table(rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, String(value)]))));

/** How a record was made: by which command, on what, and of an evaluation what was compared with what. */
export function madeText(record: ResultRecord): string {
  const sentences = [...(record.format === "onestep-evaluation" ? [comparedWords(record)] : []), machineWords(record.machine)];
  if ("load" in record) {
    const warning = record.format === "onestep-bench" ? "repeat it on a calm machine before believing a figure" : "no speed is shown";
    sentences.push(`Load of the machine before it began: ${record.load}${isCalm(record) ? "" : `; ${warning}`}.`);
  }
  return `${sentences.join(" ")}\n\n    ${(record.command ?? "").replace(/^pipeline /, "bin/pipeline ")}`;
}

function comparedWords({ settings, reference, features, subjects }: EvaluationRecord): string {
  const seeds = Math.max(...subjects.flatMap(({ figures }) => figures.frechetDistance?.count ?? []));
  const repeated = seeds > 1 ? ` of each of ${seeds} seeds (± is the standard deviation over them)` : "";
  const samples = `${grouped(settings.evaluate.count)} samples${repeated}`;
  const { name, dimension, resizeFilter } = features;
  const resized = resizeFilter === "none" ? "not resized" : `resized by a ${resizeFilter} filter`;
  const { solver, guidance } = settings.simulate;
  return (
    `${samples} against ${grouped(reference.count)} images of ${sizeInWords(reference.size)} (${reference.preparation}); ` +
    `features: ${name}, ${dimension} of them, images ${resized}; the teacher by ${solver}, guidance ${guidance}.`
  );
}

function machineWords({ processor, cores, memory, system, onestep, node, onnxruntime }: Machine): string {
  const hardware = `${processor}, ${cores} core${cores === 1 ? "" : "s"}, ${memory}, ${system}`;
  return `${hardware}; onestep ${onestep}, Node ${node}, ONNX Runtime ${onnxruntime}.`;
}

export function table(rows: readonly Record<string, string>[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter(
    (name, index) => index === 0 || rows.some((row) => (row[name] ?? "") !== ""),
  );
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(names), line(names.map(() => "---")), ...rows.map((row) => line(names.map((name) => row[name] ?? "")))].join("\n");
}
