/** Events to come, the earliest first. */
export interface MakingEvent {
  time: number;
  worker: number;
  life: number;
  kind: "loaded" | "made" | "preempted";
}

/** A heap of events: `add` one, `take` the earliest; undefined where there is none. */
export function createEvents(): { add: (event: MakingEvent) => void; take: () => MakingEvent | undefined } {
  const heap: MakingEvent[] = [];
  const swap = (a: number, b: number): void => {
    [heap[a], heap[b]] = [heap[b]!, heap[a]!];
  };
  return {
    add: (event) => {
      let at = heap.push(event) - 1;
      for (let above = (at - 1) >> 1; at > 0 && heap[above]!.time > heap[at]!.time; above = (at - 1) >> 1) {
        swap(at, above);
        at = above;
      }
    },
    take: () => {
      const first = heap[0];
      const last = heap.pop();
      if (last === undefined || heap.length === 0) return first;
      heap[0] = last;
      for (let at = 0; ; ) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let least = at;
        if (left < heap.length && heap[left]!.time < heap[least]!.time) least = left;
        if (right < heap.length && heap[right]!.time < heap[least]!.time) least = right;
        if (least === at) return first;
        swap(at, least);
        at = least;
      }
    },
  };
}
