/** How long buckets are waited for: while all is well as long as it may help, after the signal to stop for a moment. */
import { abandonedRequests, answerOf, endsWith, patiently, paused } from "../../store/places/patience.ts";
import { assert, suite } from "../harness.ts";

const test = suite("patience");
const busy = (): Promise<never> => Promise.reject(new Error("RateLimited (temporary) at stat"));

/** A request without an answer until it is told one; how often it was made. */
function hanging<T>(): { request: () => Promise<T>; made: () => number; answer: (value: T) => void } {
  let [made, answer] = [0, (_: T): void => {}];
  const answered = new Promise<T>((resolve) => {
    answer = resolve;
  });
  const request = (): Promise<T> => {
    made++;
    return answered;
  };
  return { request, made: () => made, answer: (value) => answer(value) };
}

test("what may pass is asked again, what will not is told", async () => {
  let asked = 0;
  const answers = [busy, busy, async () => "well"];
  assert.is(await patiently<string>(() => answers[asked++]!()), "well");
  assert.is(asked, 3);
  asked = 0;
  const unsigned = async (): Promise<never> => {
    asked++;
    throw new Error("Unexpected (temporary) at stat => loading credential to sign http request");
  };
  await assert.rejects(patiently(unsigned), /loading credential/);
  assert.is(asked, 3);
  asked = 0;
  const denied = async (): Promise<never> => {
    asked++;
    throw new Error("PermissionDenied (permanent) at stat");
  };
  await assert.rejects(patiently(denied), /PermissionDenied/);
  assert.is(asked, 1);
});

test("once the process is to stop, nothing is asked again, before and after the signal", async () => {
  const controller = new AbortController();
  const noLonger = endsWith(controller.signal);
  let asked = 0;
  const request = (): Promise<never> => {
    asked++;
    if (asked === 2) controller.abort(new Error("Ctrl-C"));
    return busy();
  };
  await assert.rejects(patiently(request), /Ctrl-C/);
  assert.is(asked, 2);
  await assert.rejects(patiently(request), /RateLimited/); // what is begun after says itself why it failed
  assert.is(asked, 3);
  await assert.rejects(paused(3_600_000), /Ctrl-C/);
  noLonger();
});

test("a request under way has a moment after the signal, those after it one in all, and none is begun after that", async () => {
  const controller = new AbortController();
  const noLonger = endsWith(controller.signal);
  const [first, second, third] = [hanging<string>(), hanging<string>(), hanging<string>()];
  const before = patiently(first.request);
  before.catch(() => {});
  controller.abort(new Error("Ctrl-C"));
  assert.is(await answerOf(async () => "well"), "well"); // a bucket that answers is cleaned up
  await assert.rejects(before, /Ctrl-C/);
  await assert.rejects(patiently(second.request), /Stopping/);
  await assert.rejects(patiently(third.request), /Stopping/);
  assert.equal([first.made(), second.made(), third.made(), abandonedRequests()], [1, 1, 0, 2]);
  first.answer("late");
  second.answer("late");
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(abandonedRequests(), 0);
  noLonger();
});

test("megabytes are waited for as long as the bucket answers beside them", async () => {
  const signal = AbortSignal.abort(new Error("Ctrl-C"));
  let noLonger = endsWith(signal);
  const upload = hanging<string>();
  let probed = 0;
  const alive = async (): Promise<void> => {
    if (++probed === 2) upload.answer("sent"); // within the second moment
    throw new Error("NotFound (permanent) at stat"); // which is an answer
  };
  assert.is(await answerOf(upload.request, { bytes: 32e6, probe: alive }), "sent");
  noLonger();
  for (const probe of [busy, () => new Promise<never>(() => {})]) {
    noLonger = endsWith(signal);
    await assert.rejects(answerOf(hanging<string>().request, { bytes: 32e6, probe }), /Stopping/);
    noLonger();
  }
});

test.run();
