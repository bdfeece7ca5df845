#!/usr/bin/env bash
# cajal and PyTorch in turn on one machine: the same model, batch, type and threads.
#
#   bench/compare_torch.sh [--preset P] [--batch N] [--dtype fp32|bf16|fp8] [--rounds N] [--steps N]
#                          [--blocks N] [--threads N] [--device cpu|cuda]
#                          [--mode eager|compile|graphs|blocks]
#
# The rounds are interleaved, so that a machine which slows down slows both. Prints every raw JSON
# line, then the medians and the ratio, and on a GPU what cajal makes of it when the host waits after
# every operation. With --dtype fp8 PyTorch computes in bf16: it has no such training of its own.
# Busy is the share of time in which the device had a step (cajal) or a kernel (PyTorch) to run.
# CAJAL and PYTHON name the programs (build/release's or, on a GPU, build/cuda's cajal, and the
# system's python3 unless set).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
preset=cajal-20m batch=1 dtype='' rounds=3 steps='' blocks=5 threads=0 device=cpu mode=

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

# torch.compile does not train on the CPU in the PyTorch that distributions carry.
cajal=$here/../build/release/cajal
if [ "$device" = cuda ]; then
  cajal=$here/../build/cuda/cajal
  : "${mode:=compile}" "${dtype:=bf16}" "${steps:=10}"
else
  : "${mode:=eager}" "${dtype:=fp32}" "${steps:=1}"
fi
cajal=${CAJAL:-$cajal}
[ -x "$cajal" ] || fail "no cajal program at $cajal; build it, or name it in CAJAL"
run_cajal=("$cajal")
if [ "$device" = cuda ]; then run_cajal=("$here/../scripts/cuda-env.sh" "$cajal"); fi

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
common=(--preset "$preset" --batch "$batch" --device "$device" --steps "$steps" --threads "$threads")
torch_dtype=$dtype
if [ "$dtype" = fp8 ]; then torch_dtype=bf16; fi

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT

printf '# %s, batch %s, %s, %s threads, %s: %s rounds of %s blocks of %s steps; PyTorch in %s, %s\n' \
  "$preset" "$batch" "$dtype" "$threads" "$device" "$rounds" "$blocks" "$steps" "$torch_dtype" "$mode"
round=0
while [ "$round" -lt "$rounds" ]; do
  "${run_cajal[@]}" bench "${common[@]}" --blocks "$blocks" --dtype "$dtype" --json | tee -a "$lines"
  env "${fair[@]}" "$python" "$here/torch_gpt.py" "${common[@]}" --blocks "$blocks" \
    --dtype "$torch_dtype" --mode "$mode" | tee -a "$lines"
  round=$((round + 1))
done
if [ "$device" = cuda ]; then
  "${run_cajal[@]}" bench "${common[@]}" --blocks 3 --dtype "$dtype" --sync every-op --json | tee -a "$lines"
fi

"$python" "$here/compare_runs.py" "$lines"
