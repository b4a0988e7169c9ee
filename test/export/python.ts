/** A Python with the readers that exports are read back by: named by ONESTEP_PYTHON, or python3. */
import { execFileSync } from "node:child_process";

export const python = process.env.ONESTEP_PYTHON ?? "python3";

/** Whether Python and these packages are there. */
export function pythonHas(...packages: string[]): boolean {
  try {
    execFileSync(python, ["-c", `import ${packages.join(", ")}`], { cwd: "/", stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Why a test is skipped where it is not. */
export function withoutPython(...packages: string[]): string {
  return `${python} with ${packages.join(" and ")} was not found; name one with ONESTEP_PYTHON`;
}

/** Runs a script, `args` in sys.argv[1:], and answers the JSON it prints. */
export function runPython(script: string, ...args: string[]): unknown {
  return JSON.parse(execFileSync(python, ["-c", script, ...args], { cwd: "/", encoding: "utf8", maxBuffer: 2 ** 26 }));
}
