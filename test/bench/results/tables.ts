/** Records as Markdown tables, and the sentence that says how a record was made. */
import type { BenchRecord, EvaluationRecord, Machine, Records, ResultRecord, StudyRecord, Summary } from "./records.ts";

type Subject = EvaluationRecord["subjects"][number];

/** A subject of an evaluation's file, under a label of its own or its own name. */
export interface Wanted {
  file: string;
  role: string;
  label?: string;
}

/** The subject that plays a role in a file: student, teacher, pair, floor or ceiling. */
export function subjectOf(records: Records, { file, role }: Wanted): Subject {
  const { subjects } = records.read(file, "onestep-evaluation");
  const found = subjects.find((subject) => subject.role === role);
  if (!found) throw new Error(`Cannot find a ${role} in ${file}: it has ${subjects.map((subject) => subject.role).join(", ")}`);
  return found;
}

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
  const teacher = wanted.find(({ role, file }) => role === "teacher" && records.has(file));
  const reference = teacher && subjectOf(records, teacher).figures.frechetDistance?.mean;
  const rows = wanted
    .filter(({ file }) => records.has(file))
    .map((of) => {
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
        "captions obeyed": figures.captionsObeyed ? percent(figures.captionsObeyed) : "",
        "images/s": speed ? digits(speed.imagesASecond, 3) : "",
        "ms alone": speed ? digits(speed.millisecondsAnImage, 3) : "",
      };
    });
  return table(rows);
}

/** One line a file: how near one call comes to the teacher's many. */
export function summaryTable(records: Records, wanted: readonly { file: string; label: string }[]): string {
  const rows = wanted
    .filter(({ file }) => records.has(file))
    .map(({ file, label }) => {
      const [student, teacher] = ["student", "teacher"].map((role) => subjectOf(records, { file, role })) as [Subject, Subject];
      const speed = speedsOf(records.read(file, "onestep-evaluation"));
      const speeds = [student, teacher].map(({ subject }) => speed[subject]?.imagesASecond);
      const both = (name: string): string => `${plusMinus(student.figures[name]!)} / ${plusMinus(teacher.figures[name]!)}`;
      const [own, theirs] = [student, teacher].map(({ figures }) => figures.captionsObeyed);
      return {
        "student / teacher": label,
        NFE: `${student.evaluations} / ${teacher.evaluations}`,
        "Fréchet distance": both("frechetDistance"),
        ratio: `**${digits(student.figures.frechetDistance!.mean / teacher.figures.frechetDistance!.mean, 3)}**`,
        precision: both("precision"),
        recall: both("recall"),
        "captions obeyed": own && theirs ? `${percent(own)} / ${percent(theirs)}` : "",
        "images/s": speeds.every((value) => value !== undefined) ? speeds.map((value) => digits(value, 3)).join(" / ") : "",
      };
    });
  return table(rows);
}

/** A row a variant in the study's order, then the teacher's. */
export function studyTable({ study, baselines, results }: StudyRecord): string {
  const { teacher } = baselines;
  const variants = study.variants.flatMap(({ name, about, published }) => {
    const runs = results.filter(({ variant }) => variant === name).map(({ figures }) => figures);
    if (runs.length === 0) return [];
    const over = (key: "frechetDistance" | "precision" | "recall"): Summary => summarise(runs.map((figures) => figures[key].mean));
    const distance = over("frechetDistance");
    return [
      {
        ...{ variant: name, "what it is": about, seeds: String(runs.length), "Fréchet distance": plusMinus(distance) },
        "of the teacher's": digits(distance.mean / teacher.frechetDistance.mean, 3),
        ...{ precision: plusMinus(over("precision")), recall: plusMinus(over("recall")), published: published?.toString() ?? "" },
      },
    ];
  });
  const last = {
    ...{ variant: "(teacher)", "what it is": `${baselines.evaluations} NFE`, seeds: "" },
    ...{ "Fréchet distance": plusMinus(teacher.frechetDistance), "of the teacher's": "1" },
    ...{ precision: plusMinus(teacher.precision), recall: plusMinus(teacher.recall), published: "" },
  };
  return table([...variants, last]);
}

/** The rows as they were recorded. */
export function benchTable({ rows }: BenchRecord): string {
  return table(rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, String(value)]))));
}

/** How a record was made: by which command, on what, and of an evaluation what was compared with what. */
export function madeText(record: ResultRecord): string {
  const sentences = [...(record.format === "onestep-evaluation" ? [comparedWords(record)] : []), machineWords(record.machine)];
  if ("load" in record) {
    const warning = record.format === "onestep-evaluation" ? "no speed is shown" : "repeat it on a calm machine before believing a figure";
    sentences.push(`Load of the machine before it began: ${record.load}${isCalm(record) ? "" : `; ${warning}`}.`);
  }
  return `${sentences.join(" ")}\n\n    ${record.command.replace(/^pipeline /, "bin/pipeline ")}`;
}

function comparedWords({ settings, reference, features, subjects }: EvaluationRecord): string {
  const seeds = Math.max(...subjects.flatMap(({ figures }) => figures.frechetDistance?.count ?? []));
  const repeated = seeds > 1 ? ` of each of ${seeds} seeds (± is the standard deviation over them)` : "";
  const samples = `${grouped(settings.evaluate.count)} samples${repeated}`;
  const { name, dimension, resizeFilter } = features;
  const resized = resizeFilter === "none" ? "not resized" : `resized by a ${resizeFilter} filter`;
  const { solver, guidance } = settings.simulate;
  return (
    `${samples} against ${grouped(reference.count)} images of ${reference.size} px (${reference.preparation}); ` +
    `features: ${name}, ${dimension} of them, images ${resized}; the teacher by ${solver}, guidance ${guidance}.`
  );
}

function machineWords({ processor, cores, memory, system, onestep, node, onnxruntime }: Machine): string {
  const hardware = `${processor}, ${cores} core${cores === 1 ? "" : "s"}, ${memory}, ${system}`;
  return `${hardware}; onestep ${onestep}, Node ${node}, ONNX Runtime ${onnxruntime}.`;
}

function table(rows: readonly Record<string, string>[]): string {
  const names = Object.keys(rows[0] ?? {}).filter((name, index) => index === 0 || rows.some((row) => row[name] !== ""));
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(names), line(names.map(() => "---")), ...rows.map((row) => line(names.map((name) => row[name] ?? "")))].join("\n");
}

function summarise(values: readonly number[]): Summary {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return { mean, count: values.length };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, spread: Math.sqrt(variance), count: values.length };
}

/** A share in percent, to three digits. */
export const percent = ({ mean }: Summary): string => `${digits(100 * mean, 3)} %`;

/** Mean and spread, the latter to two digits; the mean has no digits beyond the spread's. */
export function plusMinus({ mean, spread }: Summary): string {
  if (spread === undefined || spread === 0) return digits(mean, 4);
  const places = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(spread))));
  return `${mean.toFixed(places)} ± ${spread.toFixed(places)}`;
}

/** A number to so many significant digits, without an exponent where it can be helped. */
export function digits(value: number, significant: number): string {
  return String(Number(value.toPrecision(significant)));
}

const grouped = (value: number): string => value.toLocaleString("en");
