#!/usr/bin/env bash
# The same training on the CPU in fp32 and on an NVIDIA GPU in fp32 and bf16: do the curves agree?
#
#   bench/loss_curves.sh [--preset P] [--steps N] [--batch N] [--lr X] [--out DIR] [--fp8] [DATA...]
#
#   --preset P  tiny unless named: 200 steps of it take half a minute on a CPU
#   --steps N   200 unless given
#   --lr X      1e-3 unless given: at tiny's own 3e-3 the loss jumps, and types part by 3e-2 on a CPU too
#   --out DIR   the runs and the result, curves.{csv,md,png} (runs/curves unless named)
#   --fp8       also the GPU in fp8
#   DATA        text; without it the C++ headers of this machine
#
# Seed, initial weights (drawn on the host), text and its order are the same. The losses must agree to
# 1e-3 in fp32 and 1e-2 in bf16. CAJAL names the program (build/cuda's unless set).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

preset=tiny steps=200 batch='' lr=1e-3 out=runs/curves fp8=false data=()

fail() {
  printf 'loss_curves.sh: %s\n' "$*" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --fp8) fp8=true ;;
    --preset | --steps | --batch | --lr | --out)
      [ $# -ge 2 ] || fail "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    -*) fail "unknown option $1; see --help" ;;
    *) data+=("$1") ;;
  esac
  shift
done

cajal=${CAJAL:-$here/../build/cuda/cajal}
[ -x "$cajal" ] || fail "no cajal program at $cajal; build it, or name it in CAJAL"
[ ! -e "$out" ] || fail "$out is there already; remove it or name another --out"

# train NAME DEVICE DTYPE
train() {
  local shape=()
  if [ -n "$batch" ]; then shape=(--batch "$batch"); fi
  printf '# %s\n' "$1"
  "$here/../scripts/cuda-env.sh" "$cajal" train ${data[@]+"${data[@]}"} --preset "$preset" --steps "$steps" \
    ${shape[@]+"${shape[@]}"} --seed 1337 --lr "$lr" --eval-every 0 --save-every 0 --device "$2" --dtype "$3" \
    --out "$out/$1" | tail -n 6
}

train cpu-fp32 cpu fp32
train cuda-fp32 cuda fp32
train cuda-bf16 cuda bf16
runs=("CPU fp32=$out/cpu-fp32" "GPU fp32=$out/cuda-fp32:1e-3" "GPU bf16=$out/cuda-bf16:1e-2")
if $fp8; then
  train cuda-fp8 cuda fp8
  runs+=("GPU fp8=$out/cuda-fp8") # Shown, not judged: e4m3 keeps three bits.
fi
printf '\n'
"${PYTHON:-python3}" "$here/../scripts/compare_curves.py" "${runs[@]}" --out "$out/curves"
