/** A job as a manifest for Kubernetes. */
import type { ClusterJob } from "./job.ts";

/**
 * The manifest of a Job, of 1.33 or later (`backoffLimitPerIndex`): an index for each task, or one pod. A wrong command (exit 2) is not
 * tried again, a pod that was told to stop (130, or the node's disruption) does not count as a failure. WebGPU and CUDA need the driver's
 * graphics and compute parts, which the variable asks for. `claim` is a volume claim of the folders that the command names.
 */
export function kubernetesManifest(job: ClusterJob, { image, claim }: { image: string; claim?: { name: string; path: string } }): string {
  const { name, tasks, atOnce, program, words, cpus, gpus, memory, retries, grace } = job;
  const isIndexed = tasks !== undefined;
  const amounts = [`cpu: ${cpus}`, `memory: ${memory.amount}${memory.unit}i`, ...(gpus > 0 ? [`nvidia.com/gpu: ${gpus}`] : [])];
  const indented = (lines: readonly string[], depth: number) => lines.map((line) => `\n${" ".repeat(depth)}${line}`).join("");
  const counts = isIndexed
    ? [
        "completionMode: Indexed",
        `completions: ${tasks}`,
        `parallelism: ${Math.min(atOnce ?? tasks, tasks)}`,
        `backoffLimitPerIndex: ${retries}`,
      ]
    : ["completions: 1", "parallelism: 1", `backoffLimit: ${retries}`];
  const environment = ["env:", "  - name: NVIDIA_DRIVER_CAPABILITIES", "    value: compute,graphics,utility"];
  return `# kubectl apply -f THIS-FILE. Whatever was ended: deleted and applied again, the job makes what is missing.
apiVersion: batch/v1
kind: Job
metadata:
  name: ${name}
spec:${indented(counts, 2)}
  podFailurePolicy:
    rules:
      - action: ${isIndexed ? "FailIndex" : "FailJob"} # a wrong command
        onExitCodes:
          containerName: onestep
          operator: In
          values: [2]
      - action: Ignore # stopped by a signal: what is done is kept
        onExitCodes:
          containerName: onestep
          operator: In
          values: [130]
      - action: Ignore # a preemption, a node that was drained
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: ${grace}
      containers:
        - name: onestep
          image: ${JSON.stringify(image)}
          command: [${argument(program)}]
          args:${indented(
            words.map((word) => `- ${argument(word)}`),
            12,
          )}${gpus > 0 ? indented(environment, 10) : ""}
          resources:
            requests:${indented(amounts, 14)}
            limits:${indented(amounts, 14)}${claim ? indented(mounts(claim), 10) : ""}${
              claim ? indented(["volumes:", "  - name: data", "    persistentVolumeClaim:", `      claimName: ${claim.name}`], 6) : ""
            }
`;
}

/** A word as YAML takes it; Kubernetes itself would fill in $(NAME) and halve $$ otherwise. */
const argument = (word: string): string => JSON.stringify(word.replaceAll("$", "$$$$"));

const mounts = ({ path }: { path: string }): string[] => ["volumeMounts:", "  - name: data", `    mountPath: ${JSON.stringify(path)}`];

/** `NAME:/PATH`; undefined for anything else. */
export function claimOf(text: string): { name: string; path: string } | undefined {
  const [, name, path] = /^([a-z0-9](?:[a-z0-9.-]{0,60}[a-z0-9])?):(\/.*)$/.exec(text) ?? [];
  return name !== undefined && path !== undefined ? { name, path } : undefined;
}
