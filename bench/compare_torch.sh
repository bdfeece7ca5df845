#!/usr/bin/env bash
# cajal and PyTorch in turn on one machine: the same model, batch, type and threads.
#
#   bench/compare_torch.sh [--preset P] [--batch N] [--dtype fp32|bf16] [--rounds N] [--steps N]
#                          [--blocks N] [--threads N] [--device cpu|cuda] [--mode eager|compile|graphs]
#
# The rounds are interleaved, so that a machine which slows down slows both. Prints every raw JSON
# line, then the medians and the ratio. CAJAL and PYTHON name the programs (build/release's cajal and
# the system's python3 unless set).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
preset=cajal-20m batch=1 dtype=fp32 rounds=3 steps=1 blocks=5 threads=0 device=cpu mode=

fail() {
  printf 'compare_torch.sh: %s\n' "$*" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --preset | --batch | --dtype | --rounds | --steps | --blocks | --threads | --device | --mode)
      [ $# -ge 2 ] || fail "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    *) fail "unknown option $1; see --help" ;;
  esac
done
if [ -z "$mode" ]; then
  mode=eager # torch.compile does not train on the CPU in the PyTorch that distributions carry
  if [ "$device" = cuda ]; then mode=compile; fi
fi

cajal=${CAJAL:-$here/../build/release/cajal}
[ -x "$cajal" ] || fail "no cajal program at $cajal; build it, or name it in CAJAL"

# The system's python3 first: a distribution's torch is installed for that one.
python=${PYTHON:-}
for candidate in /usr/bin/python3 python3; do
  if [ -z "$python" ] && "$candidate" -c 'import torch' 2>/dev/null; then python=$candidate; fi
done
[ -n "$python" ] || fail "no python3 with torch; on Debian or Ubuntu:" \
  "apt-get install python3-torch libopenblas0-openmp; elsewhere name one in PYTHON"

# Debian's torch resolves to the reference BLAS, about 40 times slower, and gives freed memory back
# to the system after every step. Neither would be a fair peer.
fair=(MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=268435456)
openblas=/usr/lib/$(uname -m)-linux-gnu/openblas-openmp
if [ -d "$openblas" ]; then
  fair+=("LD_LIBRARY_PATH=$openblas${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
elif [ "$device" = cpu ] && [ "$("$python" -c 'import torch; print(torch.__file__)')" = \
  /usr/lib/python3/dist-packages/torch/__init__.py ]; then
  fail "the distribution's torch without a fast BLAS is no peer; apt-get install libopenblas0-openmp"
fi

if [ "$threads" -eq 0 ]; then threads=$(getconf _NPROCESSORS_ONLN); fi
common=(--preset "$preset" --batch "$batch" --dtype "$dtype" --device "$device" --steps "$steps"
  --blocks "$blocks" --threads "$threads")

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT

printf '# %s, batch %s, %s, %s threads, %s: %s rounds of %s blocks of %s steps\n' \
  "$preset" "$batch" "$dtype" "$threads" "$device" "$rounds" "$blocks" "$steps"
round=0
while [ "$round" -lt "$rounds" ]; do
  "$cajal" bench "${common[@]}" --json | tee -a "$lines"
  env "${fair[@]}" "$python" "$here/torch_gpt.py" "${common[@]}" --mode "$mode" | tee -a "$lines"
  round=$((round + 1))
done

"$python" - "$lines" <<'PYTHON'
import json, statistics, sys

runs = {"cajal": [], "torch": []}
for line in open(sys.argv[1]):
    run = json.loads(line)
    runs[run["peer"]].append(run)

# Rows that pad a vocabulary may be counted or not; a different model differs by more.
params = {name: of[0]["params"] for name, of in runs.items()}
if abs(params["cajal"] / params["torch"] - 1) > 1e-3:
    sys.exit(f"compare_torch.sh: not the same model: parameters {params}")

median = {name: {key: statistics.median(run[key] for run in of)
                 for key in ("ms_per_step", "tokens_per_s", "tflops", "peak_bytes")}
          for name, of in runs.items()}
print(f"\n{'':8}{'ms/step':>10}{'tokens/s':>10}{'GFLOP/s':>10}{'peak MiB':>10}  rounds (tokens/s)")
for name, of in runs.items():
    m = median[name]
    rounds = " ".join(f"{run['tokens_per_s']:.0f}" for run in of)
    print(f"{name:8}{m['ms_per_step']:10.1f}{m['tokens_per_s']:10.0f}{m['tflops'] * 1e3:10.1f}"
          f"{m['peak_bytes'] / 2**20:10.0f}  {rounds}")
ratio = median["cajal"]["tokens_per_s"] / median["torch"]["tokens_per_s"]
print(f"cajal / torch {runs['torch'][0]['version']}: {ratio:.2f} times the tokens/s")
PYTHON
