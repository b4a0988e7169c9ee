/** Shards that are false and agree with themselves, whatever their format, and what every reader must say of one. */
import { cpSync, readFileSync } from "node:fs";
import { surveyStore } from "../../stages/inspect/survey.ts";
import { rowBatches } from "../../store/rows/batches.ts";
import { mergeStores } from "../../store/making/merge.ts";
import { openStore, type Store, shardName, shardPath } from "../../store/shards/store.ts";
import type { Row } from "../../store/format/stored-rows.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert } from "../harness.ts";
import { freshFolder } from "./fixture.ts";
import { plant, withMetadata } from "./forgery.ts";

const { signal } = new AbortController();
const order = { seed: 1, batch: 4, window: 1, firstShards: Infinity, stepsPerShard: 1, toStep: 20 };

type Pairs = Record<string, string>;
export type Forge = (store: Store, bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

const pairs =
  (change: (pairs: Pairs) => void, crc32?: string): Forge =>
  (store) =>
    withMetadata(store, 1, { change, crc32 });
export const rows =
  (change: (rows: Row[]) => Row[]): Forge =>
  (store) =>
    withMetadata(store, 1, { rows: change });
const failed = (value: unknown) => pairs((of) => void (of.failed = JSON.stringify(value)));
const sums = (change: (sums: Record<string, unknown>) => void) =>
  pairs((of) => {
    const value = JSON.parse(of.sums!);
    change(value);
    of.sums = JSON.stringify(value);
  });

/** Of shard 1, with the ids 8 to 15, whatever its format: what makes it, and what is said of it. */
export const falseShards: Readonly<Record<string, [Forge, RegExp]>> = {
  "ids shifted": [rows((all) => all.map((row) => ({ ...row, id: Number(row.id) + 1000 }))), /its row 0 has the id 1008, expected 8/],
  "a row repeated in place of another": [rows((all) => [all[0]!, ...all.slice(0, 7)]), /its row 1 has the id 8, expected 9/],
  "rows out of order": [rows((all) => [...all].reverse()), /its row 0 has the id 15, expected 8/],
  "a negative id": [rows((all) => [{ ...all[0], id: -1 }, ...all.slice(1)]), /its row 0 has the id -1, expected 8/],
  "failures that are no list": [failed({ length: 3 }), /its failures are no list/],
  "a failure that is nothing": [failed([null]), /its failure 0 has no id/],
  "a failure whose id is a script": [failed([{ id: "<script>", reason: "r" }]), /its failure 0 has no id \(<script>\)/],
  "a failure without a reason": [failed([{ id: 9 }]), /its failure 0 \(id 9\) has no reason/],
  "a failure whose name is a number": [failed([{ id: 9, name: 7, reason: "r" }]), /has a name that is no text/],
  "a failure of another shard": [failed([{ id: 17, reason: "r" }]), /a failure of id 17, outside its ids 8 to 15/],
  "a failure twice": [failed([9, 9].map((id) => ({ id, reason: "r" }))), /the failure of id 9 twice/],
  "a failure of a row that is there": [
    (store) =>
      withMetadata(store, 1, {
        rows: (all) => all.slice(0, 7),
        change: (of) => {
          of.failed = '[{"id":9,"reason":"r"}]';
          of.sums = of.sums!.replace(/"count":\[96,96\]/, '"count":[84,84]');
        },
      }),
    /its row 1 has the id 9, expected 10/,
  ],
  "failures that are no JSON": [pairs((of) => void (of.failed = "[")), /its list of failures is no JSON/],
  "sums missing": [pairs((of) => void (of.sums = "{}")), /its sums are impossible: count is missing/],
  "sums that are nothing": [pairs((of) => void (of.sums = "null")), /its sums are impossible/],
  "sums of other channels": [sums((of) => void (of.mean = of.count = [192])), /its sums are impossible: count is \[192\]/],
  "sums of text": [sums((of) => void (of.sum = ["1", "2"])), /its sums are impossible: sum is/],
  "sums of negative counts": [sums((of) => void (of.count = [-1, 193])), /its sums are impossible: count is/],
  "sums of other rows": [sums((of) => void (of.count = [95, 96])), /its sums are of 191 values/],
  "sums that are false": [sums((of) => void (of.sum = [0, 0])), /its sums are not those of its rows/],
  "no sums at all": [pairs((of) => void delete of.sums), /its metadata has no sums/],
  "ids of another shard": [pairs((of) => void (of.ids = "[0,8]")), /its ids is \[0,8\], expected \[8,16\]/],
  "another shape": [pairs((of) => void (of.shape = "[1,1,1]")), /its shape is \[1,1,1\]/],
  "another dtype": [pairs((of) => void (of.dtype = "float16")), /its dtype is float16, expected float32/],
  "another number": [pairs((of) => void (of.shard = "2")), /it is shard 2 under another name/],
  "a later version": [pairs((of) => void (of.version = "2")), /it has format version 2/],
  "metadata that does not match its checksum": [pairs(() => {}, "1"), /its metadata does not match its checksum/],
};

/** What reading a store for training ends with. */
async function training(folder: string): Promise<string> {
  try {
    for await (const _ of rowBatches(await openStore({ folder }), order));
    return "trained";
  } catch (error) {
    assert.is((error as Error).name, "Failure", String((error as Error).stack));
    return (error as Error).message;
  }
}

/** Forges shard 1 of a copy of a store: verify, train, inspect and merge must say the problem. */
export async function checkRefused(good: Store, forge: Forge, problem: RegExp): Promise<void> {
  const folder = freshFolder();
  cpSync(good.folder, folder, { recursive: true });
  const store = await openStore({ folder });
  plant(store, 1, await forge(store, readFileSync(shardPath(store, 1))));

  const findings = await verifyStore(await openStore({ folder }));
  assert.equal(
    findings.map(({ shard, file }) => [shard, file]),
    [[1, `shards/${shardName(store, 1)}`]],
    JSON.stringify(findings),
  );
  assert.match(findings[0]!.problem, problem);
  assert.match(await training(folder), new RegExp(`^Cannot use shard 1 \\(rows 8 to 15\\) of .*${problem.source}`));
  const survey = await surveyStore(await openStore({ folder }), { signal });
  assert.equal(
    survey.shards.map(({ state }) => state),
    ["sound", "damaged", "sound", "sound", "sound", "sound", "sound"],
  );
  assert.match(survey.shards[1]!.problem ?? "", problem);
  await assert.rejects(mergeStores({ from: [folder], to: freshFolder() }), problem);
}
