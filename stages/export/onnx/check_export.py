"""Draws with an exported folder by onnxruntime, as onestep.json says, and asks onnx whether its graphs are well formed.

Arguments: the folder, a folder with told.json and the inputs as raw bytes (noise.bin ...), and the rows. Prints what was found
as JSON, and leaves latent.bin and image.bin beside the inputs.
"""

import json
import os
import sys

folder, scratch, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
answer = {}

try:
    import onnx
except ImportError:
    onnx = None

try:
    import numpy as np
    import onnxruntime
except ImportError:
    onnxruntime = None

with open(os.path.join(scratch, "told.json")) as file:
    told = json.load(file)
graphs, sampler = told["graphs"], told["sampler"]

if onnx:
    answer["onnx"] = onnx.__version__
    for graph in graphs.values():
        path = os.path.join(folder, graph["file"])
        try:
            onnx.checker.check_model(path, full_check=True)
        except Exception as error:
            answer["problem"] = f"{graph['file']}: {error}"
        own = {node.domain for node in onnx.load(path, load_external_data=False).graph.node} - {"", "ai.onnx"}
        if own:
            answer["problem"] = f"{graph['file']} has operators of {sorted(own)}"

if onnxruntime and "problem" not in answer:
    answer["onnxruntime"] = onnxruntime.__version__

    def given(name, port=None):
        dtype = np.dtype(port["dtype"] if port else "float32")
        values = np.fromfile(os.path.join(scratch, f"{name}.bin"), dtype)
        return values.reshape([rows, *(port["shape"][1:] if port else told["latent"])])

    def opened(graph):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(os.path.join(folder, graph["file"]), options, providers=["CPUExecutionProvider"])

    def present(graph):
        names = [port for port in graph["inputs"] if os.path.exists(os.path.join(scratch, f"{port['name']}.bin"))]
        return {port["name"]: given(port["name"], port) for port in names}

    features = {}
    if "text" in graphs:
        outputs = [port["name"] for port in graphs["text"]["outputs"]]
        features = dict(zip(outputs, opened(graphs["text"]).run(None, present(graphs["text"]))))
    generator = opened(graphs["generator"])
    given_ports = {**present(graphs["generator"]), **features}
    if sampler["kind"] == "direct":
        latent = generator.run(None, given_ports)[0]
    else:
        plan = sampler["loops"][str(sampler["calls"])]
        clip = plan.get("clip", np.inf)
        x = np.float32(plan["start"]) * given("noise")
        if "prior" in sampler:
            x = x + np.float32(sampler["prior"]["mean"]) + np.float32(sampler["prior"]["std"]) * given("prior")
        memories = [np.zeros_like(x) for _ in range(max(len(stage["memories"]) for stage in plan["stages"]))]
        for at, stage in enumerate(plan["stages"]):
            d = generator.run(None, {**given_ports, "x": x.astype(np.float32), "level": np.float32(stage["level"])})[0]
            state = x
            x = stage["state"] * state + stage["denoised"] * d
            if stage["clipped"]:
                x = x + stage["clipped"] * np.clip(d, -clip, clip)
            for memory, of in zip(memories, stage["memories"]):
                x = x + of["used"] * memory
            if stage["fresh"]:
                x = x + stage["fresh"] * given(f"fresh.{at}")
            idle = [{"kept": 1, "state": 0, "denoised": 0}] * len(memories)
            memories = [
                of["kept"] * memory + of["state"] * state + of["denoised"] * d
                for memory, of in zip(memories, stage["memories"] + idle)
            ]
        latent = x.astype(np.float32)
    image = opened(graphs["decoder"]).run(None, {"latent": latent})[0]
    latent.astype(np.float32).tofile(os.path.join(scratch, "latent.bin"))
    image.astype(np.float32).tofile(os.path.join(scratch, "image.bin"))

print(json.dumps(answer))
