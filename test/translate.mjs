/**
 * The sources as JavaScript, in a folder `.built-NAME` beside them: by esbuild, which comes with tsx; types are not checked.
 *
 * What starts as a process or thread of its own, `bin/pipeline` and compute workers, is made of few large files, for most of a start is
 * finding and reading hundreds. Below `apart/` stands every module by itself, for processes of tests (translation.mjs), which import modules
 * one by one; of the packages that consist of many files, one file each stands in `apart/vendor`.
 */
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative, sep } from "node:path";

const { resolve } = createRequire(import.meta.url);
const { build } = createRequire(resolve("tsx"))("esbuild");

const SOURCES = ["bin", "engine", "library", "methods", "models", "recipes", "stages", "store", "schemas", "pipelines", "data"];
const NOT_SOURCES = /^data\/(runs|stores)\/|^test\/fixtures\/method\/|\.d\.m?ts$/;

/** Packages of many files that much of the product imports. */
const MANY_FILES = ["zod", "rxjs", "yaml", "hyparquet", "hyparquet-writer"];

/** Modules that read or load others as files beside their own: in `apart/` they find those by themselves. */
const READS_PAGE = /^stages\/(export\/web|inspect\/report)\//;
const READS_OWN = /^(methods\/(registry|load)|engine\/errors)\.ts$/;

const OPTIONS = { format: "esm", platform: "node", target: "es2022", logLevel: "error" };

/** Makes the JavaScript of the sources below `root` in `folder`, which lies there; of the tests too, where there are any. */
export async function translate(root, folder) {
  const paths = (await Promise.all([...SOURCES, "test"].map((part) => filesOf(root, part)))).flat();
  const texts = new Map(await Promise.all(paths.map(async (path) => [path, await readFile(join(root, path), "utf8")])));
  const { dependencies, devDependencies, peerDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const packages = Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies, onestep: "" });
  const external = packages.filter((name) => !MANY_FILES.includes(name)).flatMap((name) => [name, `${name}/*`]);
  const required = `import { createRequire as createRequireOf } from "node:module"; const require = createRequireOf(import.meta.url);`;
  const joined = { ...OPTIONS, absWorkingDir: root, bundle: true, splitting: true, external, banner: { js: required } };

  const imported = [...texts.values()].flatMap((text) => [...text.matchAll(/from "([^"./][^"]*)"/g)].map(([, name]) => name));
  const vendored = [...new Set(imported)].filter((name) => MANY_FILES.some((of) => name === of || name.startsWith(`${of}/`)));
  const vendor = join(folder, "apart/vendor");
  await mkdir(vendor, { recursive: true });
  const entries = {};
  for (const name of vendored) {
    const entry = join(vendor, `${fileName(name)}.mjs`);
    const names = Object.keys(await import(name)).filter((each) => each !== "module.exports");
    await writeFile(entry, `export { ${names.join(", ")} } from ${JSON.stringify(name)};\n`);
    entries[fileName(name)] = entry;
  }
  await build({ ...joined, entryPoints: entries, outdir: vendor });

  const separate = {
    name: "separate",
    setup: ({ onResolve }) => {
      onResolve({ filter: /^\.\.?\// }, ({ path, kind }) =>
        kind === "entry-point" ? undefined : { path: path.replace(/\.(m?)ts$/, ".$1js"), external: true },
      );
      onResolve({ filter: new RegExp(`^(${vendored.join("|")})$`) }, ({ path, importer }) => {
        const from = relative(dirname(relative(root, importer)), join("vendor", `${fileName(path)}.js`))
          .split(sep)
          .join("/");
        return { path: from.startsWith(".") ? from : `./${from}`, external: true };
      });
    },
  };
  /** Modules that ask where they are: tests are told of their sources, others of what starts threads, unless they read what is apart. */
  const located = (isApart) => ({
    name: "located",
    setup: ({ onLoad }) => {
      onLoad({ filter: /\.m?ts$/ }, ({ path }) => {
        const name = relative(root, path).split(sep).join("/");
        const text = texts.get(name);
        if (!text?.includes("import.meta.url")) return;
        const built = name.replace(/ts$/, "js");
        const place = READS_PAGE.test(name) || (isApart && READS_OWN.test(name)) ? `$1apart/${built}` : `$1${built}`;
        const [pattern, at] = isApart && name.startsWith("test/") ? ["\\.built-[^/]+\\/.+", name] : ["(\\.built-[^/]+\\/).+", place];
        const contents = text
          .replace('createRequire(import.meta.url)("@tensorflow/tfjs")', (load) => `(${withCode}, ${load})`)
          .replaceAll("import.meta.url", `import.meta.url.replace(/${pattern}/, ${JSON.stringify(at)})`);
        return { contents, loader: "ts" };
      });
    },
  });
  const withCode = `createRequire(import.meta.url)(${JSON.stringify(join(folder, "code-cache.cjs"))})`;
  const apart = { ...OPTIONS, absWorkingDir: root, bundle: true, packages: "external", outbase: root, outdir: join(folder, "apart") };
  for (const ending of ["ts", "mts"]) {
    const entryPoints = paths.filter((path) => path.endsWith(`.${ending}`));
    await build({ ...apart, entryPoints, outExtension: { ".js": `.${ending.replace("t", "j")}` }, plugins: [separate, located(true)] });
  }
  const starts = startsOf(texts).map((path) => ({ in: path, out: path.replace(/\.m?ts$/, "") }));
  await build({
    ...joined,
    entryPoints: starts,
    outbase: root,
    outdir: folder,
    chunkNames: "chunks/[name]-[hash]",
    plugins: [located(false)],
  });
  await writeFile(join(folder, "bin/cli.mjs"), 'export * from "./cli.js";\n');
  for (const name of ["compute-worker.mjs", "cuda-runtime.cjs"]) await cp(join(root, "engine", name), join(folder, "engine", name));
  await cp(new URL("./code-cache.cjs", import.meta.url), join(folder, "code-cache.cjs"));
  createRequire(import.meta.url)(join(folder, "code-cache.cjs")).keepCode();
}

const fileName = (of) => of.replace(/\.js$/, "").replace(/\W/g, "_");

async function filesOf(root, part) {
  const names = await readdir(join(root, part), { recursive: true }).catch(() => []);
  return names.map((name) => join(part, name).split(sep).join("/")).filter((path) => /\.m?ts$/.test(path) && !NOT_SOURCES.test(path));
}

/** The modules that start a process or thread, or are loaded by their path. */
function startsOf(texts) {
  const starts = new Set(["bin/cli.mts"]);
  for (const [path, text] of texts) {
    if (/^methods\/[\w-]+\.ts$/.test(path)) starts.add(path);
    for (const [, name] of text.matchAll(/(?:new URL|part)\("(\.\.?\/[\w/-]+\.ts)"/g))
      starts.add(join(dirname(path), name).split(sep).join("/"));
  }
  return [...starts].filter((path) => texts.has(path));
}
