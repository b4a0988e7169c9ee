/** A job as a manifest for Kubernetes. */
import type { Amount, ClusterJob } from "./job.ts";
import type { Pod } from "./pod.ts";

/**
 * The manifest of a Job, of 1.33 or later (`backoffLimitPerIndex`): an index for each task, or one pod. A wrong command (exit 2) is not
 * tried again, a pod that was told to stop (130, or the node's disruption) does not count as a failure. WebGPU and CUDA need the driver's
 * graphics and compute parts, which the variable asks for.
 */
export function kubernetesManifest(job: ClusterJob, pod: Pod): string {
  const { name, tasks, atOnce, program, words, gpus, retries, grace } = job;
  const isIndexed = tasks !== undefined;
  const counts = isIndexed
    ? [
        "completionMode: Indexed",
        `completions: ${tasks}`,
        `parallelism: ${Math.min(atOnce ?? tasks, tasks)}`,
        `backoffLimitPerIndex: ${retries}`,
      ]
    : ["completions: 1", "parallelism: 1", `backoffLimit: ${retries}`];
  return `# kubectl apply -f THIS-FILE. Whatever was ended: deleted and applied again, the job makes what is missing.${notes(pod)}
apiVersion: batch/v1
kind: Job
metadata:
  name: ${text(name)}
spec:${indented(counts, 2)}
  podFailurePolicy:
    rules:
      - action: ${isIndexed ? "FailIndex" : "FailJob"} # a wrong command
        onExitCodes:
          containerName: onestep
          operator: In
          values: [2]
      - action: Ignore # stopped by a signal (143: before Node could listen): what is done is kept
        onExitCodes:
          containerName: onestep
          operator: In
          values: [130, 143]
      - action: Ignore # a preemption, a node that was drained
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:${identity(pod)}
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: ${grace}${indented(placement(pod, gpus), 6)}
      containers:
        - name: onestep
          image: ${text(pod.image)}
          command: [${argument(program)}]
          args:${indented(
            words.map((word) => `- ${argument(word)}`),
            12,
          )}${indented(environment(pod, gpus), 10)}
          resources:${indented(resources(job, pod), 12)}${indented(volumes(pod).mounts, 10)}${indented(volumes(pod).sources, 6)}
`;
}

/** Where onestep keeps what it read of buckets, and a run on its way to one: an own volume, since a user may have no home there. */
const CACHE = "/var/cache/onestep";

const indented = (lines: readonly string[], depth: number): string => lines.map((line) => `\n${" ".repeat(depth)}${line}`).join("");

/** Text as YAML takes it for text, whatever it looks like: 123, true, 1e3. */
const text = (word: string): string => JSON.stringify(word);

/** A word of the command; Kubernetes itself would fill in $(NAME) and halve $$ otherwise. */
const argument = (word: string): string => text(word.replaceAll("$", "$$$$"));

const quantity = ({ amount, unit }: Amount): string => `${amount}${unit}i`;

/** What the manifest leaves to others. */
function notes({ inImage, schemes, secret, account }: Pod): string {
  const needs = inImage.length > 0 ? [`On no volume, so the image must have it: ${inImage.map(text).join(", ")}.`] : [];
  const open = schemes.length > 0 && secret === undefined && account === undefined;
  const buckets = open
    ? [`For ${schemes.map((scheme) => `${scheme}://`).join(", ")} it has what its node is allowed: no --secret, no --account.`]
    : [];
  return [...needs, ...buckets].map((note) => `\n# ${note}`).join("");
}

/** Azure gives a pod its account's token where a label asks for it. */
function identity({ account, schemes }: Pod): string {
  if (account === undefined || !schemes.includes("az")) return "";
  return indented(["metadata:", "  labels:", '    azure.workload.identity/use: "true"'], 4);
}

/** Nodes with GPUs are mostly closed to pods that do not say they know; that is what most clusters' own plugins would add. */
function placement({ account, node }: Pod, gpus: number): string[] {
  return [
    ...(account === undefined ? [] : [`serviceAccountName: ${text(account)}`]),
    ...(node ? ["nodeSelector:", `  ${text(node.key)}: ${text(node.value)}`] : []),
    ...(gpus > 0 ? ["tolerations:", "  - key: nvidia.com/gpu", "    operator: Exists", "    effect: NoSchedule"] : []),
  ];
}

function environment({ secret, cache }: Pod, gpus: number): string[] {
  const variables: Record<string, string> = {
    ...(gpus > 0 && { NVIDIA_DRIVER_CAPABILITIES: "compute,graphics,utility" }),
    // A third is left for the teacher that is fetched, and for checkpoints and pictures.
    ...(cache && { ONESTEP_CACHE: CACHE, ONESTEP_CACHE_GB: String(cachedGigabytes(cache)) }),
  };
  const lines = Object.entries(variables).flatMap(([name, value]) => [`  - name: ${name}`, `    value: ${text(value)}`]);
  const secrets = secret === undefined ? [] : ["envFrom:", "  - secretRef:", `      name: ${text(secret)}`];
  return [...secrets, ...(lines.length > 0 ? ["env:", ...lines] : [])];
}

const cachedGigabytes = ({ amount, unit }: Amount): number => Math.floor(((unit === "G" ? 1000 : 1) * amount * 2) / 3) / 1000;

/** As much as it may have of each, but of the node's disk, of which a limit would end the pod. */
function resources({ cpus, memory, gpus }: ClusterJob, { cache }: Pod): string[] {
  const amounts = [`  cpu: ${cpus}`, `  memory: ${quantity(memory)}`, ...(gpus > 0 ? [`  nvidia.com/gpu: ${gpus}`] : [])];
  return ["requests:", ...amounts, ...(cache ? [`  ephemeral-storage: ${quantity(cache)}`] : []), "limits:", ...amounts];
}

function volumes({ claim, cache }: Pod): { mounts: string[]; sources: string[] } {
  const mounts = [
    ...(claim ? ["  - name: data", `    mountPath: ${text(claim.path)}`] : []),
    ...(cache ? ["  - name: cache", `    mountPath: ${CACHE}`] : []),
  ];
  const sources = [
    ...(claim ? ["  - name: data", "    persistentVolumeClaim:", `      claimName: ${text(claim.name)}`] : []),
    ...(cache ? ["  - name: cache", "    emptyDir: {}"] : []),
  ];
  return mounts.length === 0 ? { mounts, sources } : { mounts: ["volumeMounts:", ...mounts], sources: ["volumes:", ...sources] };
}
