#!/usr/bin/env bash
# cajal beside PyTorch on an NVIDIA GPU, over models and batches, in one go.
#
#   bench/cuda_table.sh [--out FILE] [--profiles DIR] [--fp8] [ROW...]
#
#   ROW             PRESET:BATCH:STEPS:MODE[,MODE], PyTorch's modes as in torch_gpt.py; without any,
#                   the six rows below, which take about six minutes
#   --out FILE      raw JSON lines (build/cuda-table.jsonl unless named)
#   --profiles DIR  also what each of cajal's operations takes, a file a row
#   --fp8           also cajal in fp8
#
# Both compute in bf16 on random tokens; a figure is the median of three blocks of STEPS. One round: for
# a ratio that must hold to a few percent, bench/compare_torch.sh interleaves several. The markdown
# table is printed last. CAJAL and PYTHON name the programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

out=$here/../build/cuda-table.jsonl profiles='' fp8=false rows=()

fail() {
  printf 'cuda_table.sh: %s\n' "$*" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --fp8) fp8=true ;;
    --out | --profiles)
      [ $# -ge 2 ] || fail "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    *:*:*:*) rows+=("$1") ;;
    *) fail "'$1' is no option and no row; see --help" ;;
  esac
  shift
done
if [ ${#rows[@]} -eq 0 ]; then
  rows=(cajal-20m:1:50:compile,graphs cajal-20m:8:30:compile,graphs cajal-20m:32:20:compile,graphs
    gpt2-124m:32:8:compile gpt2-124m:64:5:compile gpt2-1558m:8:3:blocks)
fi

cajal=${CAJAL:-$here/../build/cuda/cajal}
[ -x "$cajal" ] || fail "no cajal program at $cajal; build it, or name it in CAJAL"
python=${PYTHON:-python3}
"$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null ||
  fail "no python3 whose torch sees a GPU; name one in PYTHON"

mkdir -p "$(dirname "$out")"
: >"$out"
if [ -n "$profiles" ]; then mkdir -p "$profiles"; fi

failures=0
# measure COMMAND...: its JSON lines to the file; a failure is told and passed over.
measure() {
  "$@" | tee -a "$out" || {
    printf '# failed: %s\n' "$*"
    failures=$((failures + 1))
  }
}
run_cajal() { measure "$here/../scripts/cuda-env.sh" "$cajal" bench --device cuda --json "$@"; }

for row in "${rows[@]}"; do
  IFS=: read -r preset batch steps modes <<<"$row"
  began=$SECONDS
  shape=(--preset "$preset" --batch "$batch" --steps "$steps")
  profile=()
  if [ -n "$profiles" ]; then profile=(--profile "$profiles/$preset-$batch.json"); fi
  run_cajal "${shape[@]}" --blocks 3 --dtype bf16 ${profile[@]+"${profile[@]}"}
  if $fp8; then run_cajal "${shape[@]}" --blocks 3 --dtype fp8; fi
  # A large model's operations take longer than a wait; its weights take their time to draw.
  case $preset in gpt2-774m | gpt2-1558m) ;; *) run_cajal "${shape[@]}" --blocks 1 --dtype bf16 --sync every-op ;; esac
  measure "$python" "$here/torch_gpt.py" "${shape[@]}" --blocks 3 --dtype bf16 --device cuda --mode "$modes"
  printf '# %s, batch %s: %d s\n' "$preset" "$batch" $((SECONDS - began))
done

printf '\n'
"$python" "$here/compare_runs.py" "$out" --markdown
[ "$failures" -eq 0 ]
