#!/usr/bin/env bash
# Runs every test that needs an NVIDIA GPU.
#
#   scripts/test-cuda.sh [--prebuilt DIR] [--sanitize] [--logs DIR]
#
#   --prebuilt DIR  the programs that scripts/pack-cuda.sh collected; without it, builds in build/cuda
#   --sanitize      also memcheck, racecheck and initcheck of compute-sanitizer over small operations
#   --logs DIR      keep what the programs print
#
# Prints a line a part and, last, "cuda: N passed, N failed, N skipped". Without a GPU, or without nvcc
# to build with, it says so in one line, "skipped: ...", and ends well.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."

prebuilt='' sanitize=false logs=''

fail() {
  printf 'test-cuda.sh: %s\n' "$*" >&2
  exit 2
}
skip() {
  printf 'skipped: %s\n' "$*"
  exit 0
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "$here/$(basename "$0")"
      exit 0
      ;;
    --sanitize) sanitize=true ;;
    --prebuilt | --logs)
      [ $# -ge 2 ] || fail "$1 needs a folder"
      mkdir -p "$2"
      printf -v "${1#--}" '%s' "$(cd "$2" && pwd)"
      shift
      ;;
    *) fail "unknown option $1; see --help" ;;
  esac
  shift
done

nvidia-smi -L >/dev/null 2>&1 || ls /dev/nvidia[0-9]* >/dev/null 2>&1 || skip "no NVIDIA GPU here"

cores=$(getconf _NPROCESSORS_ONLN)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
logs=${logs:-$work}

# --- The programs ---------------------------------------------------------------------------------

# The one architecture of the card here, so that the build takes a third of the time.
architecture() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1)
  case $capability in
    9.0) echo 90a ;;
    [0-9]*.[0-9]) printf '%s\n' "${capability/./}" ;;
    *) echo '80;90a;100' ;;
  esac
}

build() {
  command -v "${CUDACXX:-nvcc}" >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] ||
    skip "no nvcc to build with; give the programs with --prebuilt"
  scripts/install_dependencies.sh --test
  PATH=$PATH:/usr/local/cuda/bin cmake -S . -B build/cuda -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCAJAL_CUDA=ON "-DCAJAL_CUDA_ARCHITECTURES=$(architecture)" --log-level=WARNING
  cmake --build build/cuda --parallel "$cores" \
    --target cajal test_ops test_runtime test_model test_train
}

# program NAME: its path.
program() {
  if [ -n "$prebuilt" ]; then
    printf '%s/bin/%s\n' "$prebuilt" "$1"
  else
    printf 'build/cuda/tests/%s/%s\n' "${1#test_}" "$1"
  fi
}

if [ -n "$prebuilt" ]; then
  [ -f "$prebuilt/env.sh" ] || fail "$prebuilt is no folder of scripts/pack-cuda.sh"
  . "$prebuilt/env.sh"
else
  build
  . scripts/cuda-env.sh
fi

# --- Parts ----------------------------------------------------------------------------------------

export CAJAL_TEST_DEVICE=${CAJAL_TEST_DEVICE:-cuda}
passed=0 failed=0 skipped=0

# number_after WORD LOG...: the sum of gtest's closing lines "[  WORD  ] N tests".
number_after() {
  local word=$1
  shift
  cat "$@" | sed -n "s/^\[ *$word *\] \([0-9]*\) tests\{0,1\}[.,].*/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}

# shards N LOG COMMAND...: the tests of one program dealt out to N processes, each with a cache of its
# own: what one of them times must not replace what another has found. The logs are LOG.0, LOG.1 ...
shards() {
  local count=$1 log=$2 shard status=0 processes=()
  shift 2
  for ((shard = 0; shard < count; shard++)); do
    GTEST_TOTAL_SHARDS=$count GTEST_SHARD_INDEX=$shard XDG_CACHE_HOME=$work/cache.$shard \
      timeout -k 10 "$limit" "$@" >"$log.$shard" 2>&1 &
    processes+=($!)
  done
  for shard in "${!processes[@]}"; do wait "${processes[$shard]}" || status=$?; done
  return "$status"
}

# show LOG...: why a part failed.
show() {
  local log
  for log in "$@"; do
    grep -q '^\[  PASSED  \]' "$log" || { printf '  ended early:\n' && tail -n 12 "$log" | sed 's/^/    /'; }
  done
  grep -hE '^[^[]*: Failure$' -A 6 "$@" | head -n 60 | sed 's/^/    /' || true
  grep -hE '^\[  FAILED  \] [^0-9]' "$@" | sort -u | head -n 40 | sed 's/^/  /' || true
}

# part NAME SHARDS FILTER: runs test_NAME.
part() {
  local name=$1 count=$2 filter=$3 began=$SECONDS status=0 p f s
  local log=$logs/$name
  rm -f "$log".[0-9]*
  shards "$count" "$log" "$(program "test_$name")" --gtest_filter="$filter" || status=$?
  p=$(number_after PASSED "$log".*) f=$(number_after FAILED "$log".*) s=$(number_after SKIPPED "$log".*)
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi # It crashed, or took too long.
  printf '%-10s %4d passed, %d failed, %d skipped, %d s\n' "$name" "$p" "$f" "$s" $((SECONDS - began))
  if [ "$f" -gt 0 ]; then show "$log".*; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# sanitizer TOOL OPTION...: one test, which is that the tool finds nothing.
sanitizer() {
  local tool=$1 began=$SECONDS status=0 errors
  shift
  local log=$logs/$tool
  rm -f "$log".[0-9]*
  shards "$wide" "$log" compute-sanitizer --tool "$tool" --error-exitcode 99 --print-limit 20 "$@" \
    "$(program test_ops)" --gtest_filter="$SMALL" || status=$?
  errors=$(cat "$log".* | grep -cE '^=+ +(Error|Invalid|Uninitialized|Race|Warning: Race|Program hit)' || true)
  printf '%-10s %4d tests, %d reports, %d s\n' "$tool" "$(number_after PASSED "$log".*)" "$errors" \
    $((SECONDS - began))
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    grep -hE '^=====' "$log".* | head -n 60 | sed 's/^/    /' || true
    show "$log".*
  fi
}

# Every operation, at sizes that a tool a hundred times slower gets through.
readonly SMALL='*MatchesReference/linear*_N_7_17_*:*Reference/attention*_T_7_*:*Reference/attention*_T_31_*:*Reference/attention*_T_65_*:*Reference/cached*:*Reference/layer*N_7_*:*Reference/cross*N_7_*:*Reference/target*:*Reference/gelu*_7_*:*Reference/embedding*T_7_*:*Reference/dropout*n_7_*:*Reference/dropout*n_513_*:*Reference/adamw*n_513_*:*Reference/global*:*Reference/sample*:*Reference/zero*:*Reference/convert*:Refusals.*-*50257*:*1048576*:*1776*:*_5000of*:*000000*'

wide=$((cores / 2 < 1 ? 1 : cores / 2 > 6 ? 6 : cores / 2))
limit=120
shards 1 "$work/probe" "$(program test_runtime)" --gtest_filter=CudaDevice.DescribesTheCard || true
reason=$(sed -n '/: Skipped$/{n;p;q;}' "$work/probe.0")
if [ -n "$reason" ]; then skip "$reason"; fi

nvidia-smi -L 2>/dev/null || true
limit=${CAJAL_TEST_LIMIT:-540}
part runtime 1 '*Cuda*:*Schedule.*'
part model 1 '*'
part train $((wide < 4 ? wide : 4)) '*'
part ops "$wide" '*'

if $sanitize; then
  if command -v compute-sanitizer >/dev/null; then
    # Races and unset memory within the libraries are not ours to find.
    sanitizer memcheck --track-stream-ordered-races all --report-api-errors no
    sanitizer racecheck --kernel-name kns=cajal
    sanitizer initcheck
  else
    printf 'no compute-sanitizer here: not run\n'
    skipped=$((skipped + 3))
  fi
fi

printf 'cuda: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
