import { methodNames } from "../../methods/registry.ts";
import { holdToPromises } from "./promises.ts";

holdToPromises(methodNames().filter((_, i) => i % 2 === 0));
