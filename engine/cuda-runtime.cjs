// Puts ONNX Runtime's addon of a CUDA build in the place of onnxruntime-node's own, before that package is loaded. Plain JavaScript, for
// the child process that tries a device requires it too.
"use strict";
const { constants } = require("node:os");

/** RTLD_NODELETE of Linux: what is opened stays, though it is no addon of Node. */
const NODELETE = 0x1000;

/** Puts the build's addon in the place of onnxruntime-node's. */
exports.useAddon = (addon) => {
  const place = `bin/napi-v6/${process.platform}/${process.arch}/onnxruntime_binding.node`;
  const own = require.resolve("onnxruntime-node").replace(/dist[\\/]index\.js$/, place);
  require(addon);
  require.cache[own] = require.cache[require.resolve(addon)];
};

/** Opens NVIDIA's libraries in their order: ONNX Runtime's provider looks for them by name alone, and finds them wherever they lie. */
exports.openLibraries = (libraries) => {
  for (const library of libraries) {
    try {
      process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_LAZY | constants.dlopen.RTLD_GLOBAL | NODELETE);
    } catch {} // "did not self-register": it is open; what is missing, the provider names
  }
};
