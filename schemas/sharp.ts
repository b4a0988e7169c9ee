import { createRequire } from "node:module";
import type Sharp from "sharp";

/** sharp by its CommonJS entry: the ES module one needs import attributes, which Node has from 20.10 only. */
export const sharp = createRequire(import.meta.url)("sharp") as typeof Sharp;
