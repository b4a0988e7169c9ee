/**
 * The sources as JavaScript, in a folder `.built-NAME` beside them: by esbuild, which comes with tsx; types are not checked.
 *
 * What starts as a process or thread of its own, `bin/pipeline` and compute workers, is made of few large files, for most of a start is
 * finding and reading hundreds. Below `apart/` stands every module by itself, for tests, which import modules one by one; of packages that
 * consist of many files one file each stands in `apart/vendor`.
 */
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, posix, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { build } = createRequire(require.resolve("tsx"))("esbuild");

const SOURCES = ["bin", "engine", "library", "methods", "models", "recipes", "stages", "store", "schemas", "pipelines", "data", "test"];
const NOT_SOURCES = /^data\/(runs|stores)\/|^test\/fixtures\/method\/|\.d\.m?ts$/;

/** Packages of many files that much of the product imports. */
const MANY_FILES = ["zod", "rxjs", "yaml", "hyparquet", "hyparquet-writer"];

/** Modules that find others as files beside their own: everywhere those of `apart/`, or only where they are in `apart/` themselves. */
const FINDS_APART = /^stages\/(export\/web|inspect\/report)\//;
const FINDS_BESIDE = /^(methods\/(registry|load)|engine\/errors)\.ts$/;

const OPTIONS = { bundle: true, format: "esm", platform: "node", target: "es2022", logLevel: "error" };

/** Makes the JavaScript of the sources below `root` in `folder`, which lies there; of the tests too, where there are any. */
export async function translate(root, folder) {
  const sources = await readSources(root);
  const packages = packagesOf(sources);
  await makeVendor({ root, folder, packages });
  await makeApart({ root, folder, sources, packages });
  await makeStarts({ root, folder, sources });
  await cp(new URL("./code-cache.cjs", import.meta.url), join(folder, "code-cache.cjs"));
  require(join(folder, "code-cache.cjs")).keepCode();
}

/** Path from the root, with "/" between names, to text. */
async function readSources(root) {
  const lists = SOURCES.map(async (part) => {
    const names = await readdir(join(root, part), { recursive: true }).catch(() => []);
    return names.map((name) => slashed(join(part, name)));
  });
  const paths = (await Promise.all(lists)).flat().filter((path) => /\.m?ts$/.test(path) && !NOT_SOURCES.test(path));
  return new Map(await Promise.all(paths.map(async (path) => [path, await readFile(join(root, path), "utf8")])));
}

/** What the sources import of packages of many files, as they name it. */
function packagesOf(sources) {
  const imported = [...sources.values()].flatMap((text) => [...text.matchAll(/from "([^"./][^"]*)"/g)].map(([, name]) => name));
  return [...new Set(imported)].filter((name) => MANY_FILES.some((of) => name === of || name.startsWith(`${of}/`)));
}

/** What is made of several modules, with what they share in files of its own. */
async function joined(root) {
  const { dependencies, devDependencies, peerDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const names = Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies, onestep: "" });
  const external = names.filter((name) => !MANY_FILES.includes(name)).flatMap((name) => [name, `${name}/*`]);
  const required = `import { createRequire as createRequireOf } from "node:module"; const require = createRequireOf(import.meta.url);`;
  return { ...OPTIONS, absWorkingDir: root, splitting: true, external, banner: { js: required } };
}

async function makeVendor({ root, folder, packages }) {
  const vendor = join(folder, "apart/vendor");
  await mkdir(vendor, { recursive: true });
  const entryPoints = {};
  for (const name of packages) {
    const entry = join(vendor, `${vendored(name)}.mjs`);
    const exported = Object.keys(await import(name)).filter((each) => each !== "module.exports");
    await writeFile(entry, `export { ${exported.join(", ")} } from ${JSON.stringify(name)};\n`);
    entryPoints[vendored(name)] = entry;
  }
  await build({ ...(await joined(root)), entryPoints, outdir: vendor });
}

async function makeApart({ root, folder, sources, packages }) {
  const separate = {
    name: "separate",
    setup: ({ onResolve }) => {
      // What is JavaScript already is where it is.
      onResolve({ filter: /^\.\.?\/.*\.mjs$/ }, ({ path, resolveDir }) => ({
        path: pathToFileURL(join(resolveDir, path)).href,
        external: true,
      }));
      onResolve({ filter: /^\.\.?\// }, ({ path, kind }) =>
        kind === "entry-point" ? undefined : { path: path.replace(/\.(m?)ts$/, ".$1js"), external: true },
      );
      onResolve({ filter: new RegExp(`^(${packages.join("|")})$`) }, ({ path, importer }) => {
        const from = posix.dirname(slashed(relative(root, importer)));
        return { path: `./${posix.relative(from, `vendor/${vendored(path)}.js`)}`, external: true };
      });
    },
  };
  const placeOf = (path) => {
    if (path.startsWith("test/")) return path;
    return `$1${FINDS_APART.test(path) || FINDS_BESIDE.test(path) ? "apart/" : ""}${path.replace(/ts$/, "js")}`;
  };
  const plugins = [separate, located({ root, folder, sources, placeOf })];
  const options = { ...OPTIONS, absWorkingDir: root, packages: "external", outbase: root, outdir: join(folder, "apart"), plugins };
  for (const [ending, made] of Object.entries({ ".ts": ".js", ".mts": ".mjs" })) {
    const entryPoints = [...sources.keys()].filter((path) => path.endsWith(ending));
    await build({ ...options, entryPoints, outExtension: { ".js": made } });
  }
}

/** Makes what starts a process or thread, or is loaded by its path. */
async function makeStarts({ root, folder, sources }) {
  const starts = new Set(["bin/cli.mts"]);
  for (const [path, text] of sources) {
    if (/^methods\/[\w-]+\.ts$/.test(path)) starts.add(path);
    for (const [, name] of text.matchAll(/(?:new URL|part)\("(\.\.?\/[\w/-]+\.ts)"/g)) starts.add(posix.join(posix.dirname(path), name));
  }
  const entryPoints = [...starts].filter((path) => sources.has(path)).map((path) => ({ in: path, out: path.replace(/\.m?ts$/, "") }));
  const placeOf = (path) => `$1${FINDS_APART.test(path) ? "apart/" : ""}${path.replace(/ts$/, "js")}`;
  const plugins = [located({ root, folder, sources, placeOf })];
  await build({ ...(await joined(root)), entryPoints, outbase: root, outdir: folder, chunkNames: "chunks/[name]-[hash]", plugins });
  await writeFile(join(folder, "bin/cli.mjs"), 'export * from "./cli.js";\n');
  for (const name of ["compute-worker.mjs", "cuda-runtime.cjs"]) await cp(join(root, "engine", name), join(folder, "engine", name));
}

/**
 * Has modules that ask where they are be told the place that `placeOf` answers: a path from the root, or from `folder` after "$1". Loaded
 * under their sources' names (translation.mjs) they see those. TensorFlow.js is loaded with the code that is kept of it.
 */
function located({ root, folder, sources, placeOf }) {
  const withCode = `createRequire(import.meta.url)(${JSON.stringify(join(folder, "code-cache.cjs"))})`;
  const setup = ({ onLoad }) => {
    onLoad({ filter: /\.m?ts$/ }, ({ path }) => {
      const source = slashed(relative(root, path));
      const text = sources.get(source);
      if (!text?.includes("import.meta.url")) return;
      const place = placeOf(source);
      const found = place.startsWith("$1") ? "(\\.built-[^/]+\\/).+" : "\\.built-[^/]+\\/.+";
      const contents = text
        .replace('createRequire(import.meta.url)("@tensorflow/tfjs")', (load) => `(${withCode}, ${load})`)
        .replaceAll("import.meta.url", () => `import.meta.url.replace(/${found}/, ${JSON.stringify(place)})`);
      return { contents, loader: "ts" };
    });
  };
  return { name: "located", setup };
}

const slashed = (path) => path.split(sep).join("/");
const vendored = (name) => name.replace(/\.js$/, "").replace(/\W/g, "_");
