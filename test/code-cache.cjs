/**
 * The code that V8 made of TensorFlow.js, kept beside what translate.mjs made: to compile those 7 MB anew is a third of each worker's start,
 * and Node keeps code by itself only from version 22.1 on. Loading this file is enough to use what is kept.
 */
"use strict";
const { existsSync, mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const Module = require("node:module");
const { basename, dirname, join } = require("node:path");
const { Script } = require("node:vm");

const folder = join(__dirname, "code");
const kept = (path) => join(folder, `${basename(path)}.code`);
const scripts = new Map();

const compile = Module.prototype._compile;
Module.prototype._compile = function (content, path, ...rest) {
  if (!/[\\/]@tensorflow[\\/][\w-]+[\\/]dist[\\/]/.test(path)) return compile.call(this, content, path, ...rest);
  const cachedData = existsSync(kept(path)) ? readFileSync(kept(path)) : undefined;
  const script = new Script(Module.wrap(content), { filename: path, cachedData }); // of another version of V8: it is compiled
  if (!cachedData) scripts.set(path, script);
  return script.runInThisContext().call(this.exports, this.exports, Module.createRequire(path), this, path, dirname(path));
};

/** Loads TensorFlow.js and keeps its code. */
exports.keepCode = () => {
  require("@tensorflow/tfjs");
  mkdirSync(folder, { recursive: true });
  for (const [path, script] of scripts) writeFileSync(kept(path), script.createCachedData());
};
