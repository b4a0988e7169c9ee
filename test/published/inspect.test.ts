/** `inspect` of published pipelines: what it says of their parts, and --parity from the command line's side. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkParity, inspectPublished } from "../../pipelines/inspect-published.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";

const test = suite("inspect published");

/** A copy of a tiny pipeline, to be changed. */
function copyOf(name: string): string {
  const folder = freshFolder();
  cpSync(join(pipelines, name), folder, { recursive: true, mode: 0 });
  return folder;
}

const parity = (folder: string) => checkParity({ folder, golden: join(folder, "golden.safetensors"), context: recordingContext().context });

/** Writes a JSON file again with a change. */
function changed(path: string, change: (json: Record<string, unknown>) => void): void {
  const json = JSON.parse(readFileSync(path, "utf8"));
  change(json);
  rmSync(path);
  writeFileSync(path, JSON.stringify(json));
}

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  test("tells of each part its class, size and whether it is understood", async () => {
    const { context, events } = recordingContext();
    await inspectPublished({ folder: join(pipelines, "dit"), context });
    const table = events.find((event) => event.type === "table");
    assert.equal(
      (table as { rows: Record<string, string>[] }).rows.map((row) => [row.part, row.class, row.understood]),
      [
        ["scheduler", "DDIMScheduler", ""],
        ["transformer", "DiTTransformer2DModel", "yes"],
        ["vae", "AutoencoderKL", "yes"],
      ],
    );
    await inspectPublished({ folder: join(pipelines, "sdxl"), context });
  });

  test("golden vectors agree, and a parameter that was changed is seen", async () => {
    const folder = copyOf("dit");
    assert.ok((await parity(folder)).length > 10);
    const path = join(folder, "transformer/diffusion_pytorch_model.safetensors");
    const bytes = readFileSync(path);
    bytes.writeUInt16LE(0x4800, bytes.length - 200); // 8 as a float16
    rmSync(path);
    writeFileSync(path, bytes);
    await assert.rejects(parity(folder), /Cannot trust .*: transformer out differs by/);
  });

  test("what is not understood, missing or left over is named with its file", async () => {
    const folder = copyOf("dit");
    const config = join(folder, "transformer/config.json");
    changed(config, (json) => (json.norm_type = "layer_norm"));
    await assert.rejects(parity(folder), /transformer\/config\.json: norm_type: "layer_norm" is not understood/);
    changed(config, (json) => Object.assign(json, { norm_type: "ada_norm_zero", sliding_window: 4 }));
    await assert.rejects(
      parity(folder),
      /transformer\/config\.json: sliding_window: 4 is not understood \(no network here knows this key\)/,
    );
    changed(config, (json) => {
      delete json.sliding_window;
      json.num_layers = 4;
    });
    await assert.rejects(parity(folder), /transformer: its weights lack the parameter "transformer_blocks\.3\./);
    changed(config, (json) => (json.num_layers = 2));
    await assert.rejects(parity(folder), /differs|nobody reads its parameter "transformer_blocks\.2\./);
    rmSync(join(folder, "transformer/diffusion_pytorch_model.safetensors"));
    writeFileSync(join(folder, "transformer/diffusion_pytorch_model.bin"), "pickle");
    await assert.rejects(
      parity(folder),
      /Cannot find weights in .*transformer: diffusion_pytorch_model\.bin is a pickle.*safe_serialization/,
    );
  });
}

test("golden vectors that are absent are a usage failure", async () => {
  const folder = freshFolder();
  await assert.rejects(parity(folder), /Cannot compare with .*golden\.safetensors: there is no/);
});

test.run();
