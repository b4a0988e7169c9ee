
import { trajectoryParity } from "/work/wt/solver/stages/published/trajectories.ts";
for (const n of process.argv.slice(2)) { const t=performance.now(); try { for await (const p of trajectoryParity({folder:`/work/shared/pipelines/${n}`, path:`/work/shared/pipelines/${n}/golden.safetensors`})) console.log(n, p.what, p.difference.toPrecision(2), ((performance.now()-t)/1000).toFixed(1)); } catch(e) { console.log(n, e); } }
