/**
 * The arrows between folders, as `npm run arrows` checks them: imports point downwards only. Types count like values, because
 * a type that points upwards says as much about where a thing belongs. Tests may import anything.
 */

/** From the top down; a folder may import those below it. */
const floors = ["bin|library", "pipelines", "stages", "recipes", "methods", "models", "engine|store", "schemas"];

/** The same of the folders of store/. */
const ofStore = ["making", "rows", "shards", "records", "format", "places"];

/** A rule a floor: it imports none of those above it. */
const downwards = (names, root = "") =>
  names.slice(1).map((floor, i) => ({
    name: `${root}${floor}-imports-downwards`,
    comment: names.join(" > ").replaceAll("|", ", "),
    severity: "error",
    from: { path: `^${root}(${floor})/` },
    to: { path: `^${root}(${names.slice(0, i + 1).join("|")})/` },
  }));

export default {
  forbidden: [
    ...downwards(floors),
    ...downwards(ofStore, "store/"),
    {
      name: "engine-imports-nothing",
      comment: "engine/ could be a package of its own; its examples draw their data with schemas/numbers",
      severity: "error",
      from: { path: "^engine/", pathNot: "^engine/examples/" },
      to: { pathNot: "^engine/" },
    },
    {
      name: "store-imports-schemas-alone",
      comment: "store/ could be a package of its own",
      severity: "error",
      from: { path: "^store/" },
      to: { pathNot: "^(store|schemas)/" },
    },
    {
      name: "data-is-a-leaf",
      comment: "the generator of the built-in set and the scripts that make data/demo know networks and schemas, and no stage",
      severity: "error",
      from: { path: "^data/" },
      to: { pathNot: "^(data|engine|models|schemas)/" },
    },
    {
      name: "only-pipelines-import-data",
      comment: "stages are handed what they need of the built-in set: a pipeline passes it in",
      severity: "error",
      from: { pathNot: "^(data|pipelines|test)/" },
      to: { path: "^data/" },
    },
    {
      name: "only-tests-import-tests",
      severity: "error",
      from: { pathNot: "^test/" },
      to: { path: "^test/" },
    },
    {
      name: "no-circles-of-files",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-circles-of-stages",
      comment: "each folder of stages/ can be read without those that import it",
      severity: "error",
      scope: "folder",
      from: { path: "^stages/" },
      to: { circular: true, path: "^stages/" },
    },
  ],
  options: {
    includeOnly: `^(${[...floors, "data", "test"].join("|")})/`,
    tsPreCompilationDeps: true,
  },
};
