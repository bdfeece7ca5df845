#!/usr/bin/env bash
# Sets up, builds and runs every test, from any directory, with or without a terminal.
#
#   scripts/test.sh
#   scripts/test.sh --sanitizers [asan|tsan] [PART...]
#
# Without flags three builds: the release preset with all tests, then the runtime's tests again in the
# debug preset, where host access to memory that in-flight work uses is an error, and those of the
# runtime and of data under TSan. Before these scripts/test-sync.sh prints cajal-sync's figures. Where
# nvcc is, the release build has the CUDA backend, compiled for every architecture of
# CAJAL_CUDA_ARCHITECTURES; without a GPU its tests are skipped. The last line counts the tests.
#
# With --sanitizers the tests run under ASan and UBSan, then under TSan (clang), or under the one
# named; PART is a folder of tests/ (runtime, ops, data, model, train, cli, fuzz): those and nothing
# else are built and run. The application of cajal-sync, which is LLVM's for the most part, is left
# out.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizers=()
parts=()
while [ $# -gt 0 ]; do
  case $1 in
    --sanitizers) sanitizers=(asan tsan); shift ;;
    asan | tsan) sanitizers=("$1"); shift ;;
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "test.sh: unknown option $1; see --help" >&2; exit 2 ;;
    *)
      [ -d "tests/$1" ] || { echo "test.sh: there is no tests/$1; see --help" >&2; exit 2; }
      parts+=("$1")
      shift
      ;;
  esac
done
if [ ${#parts[@]} -gt 0 ] && [ ${#sanitizers[@]} -eq 0 ]; then
  echo "test.sh: parts are for --sanitizers; see --help" >&2
  exit 2
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '\n== %s\n' "$*"; }

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || sysctl -n hw.ncpu; }

# run_tests FOLDER: ctest there, shown and kept for the count; a failure is remembered, not fatal.
failed_runs=0
run_tests() {
  ctest --test-dir "$1" --output-on-failure -j 1 2>&1 | tee -a "$log" ||
    failed_runs=$((failed_runs + 1))
}

# tell_of_cuda FOLDER: one line on what was compiled for GPUs.
tell_of_cuda() {
  local cache=$1/CMakeCache.txt
  if grep -q '^CMAKE_CUDA_COMPILER:[A-Z]*=/' "$cache"; then
    printf 'CUDA: compiled for %s\n' "$(sed -n 's/^CAJAL_CUDA_ARCHITECTURES:[A-Z]*=//p' "$cache")"
  else
    printf 'CUDA: skipped, there is no nvcc here\n'
  fi
}

# Adds up ctest's closing lines, "N% tests passed, F tests failed out of T", and its skips.
summarise() {
  awk '
    /tests failed out of [0-9]+$/ { failed += $4; total += $NF }
    /\*\*\*Skipped/               { skipped++ }
    END {
      line = sprintf("%d passed, %d failed", total - failed - skipped, failed)
      if (skipped) line = line sprintf(", %d skipped", skipped)
      print line
      if (total == 0) exit 1
    }' "$log"
}

# run_sanitized PRESET [PART...]: builds that preset, or those folders of its tests, and runs them.
run_sanitized() {
  local preset=$1 part
  shift
  say "Build with $preset"
  cmake --preset "$preset" -DCAJAL_TESTS=ON
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  export TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1
  if [ $# -eq 0 ]; then
    cmake --build "build/$preset" --parallel "$(cores)"
    say "All tests with $preset"
    run_tests "build/$preset"
    return
  fi
  cmake --build "build/$preset" --parallel "$(cores)" --target "${@/%//all}"
  for part in "$@"; do
    say "Tests of ${part#tests/} with $preset"
    run_tests "build/$preset/$part"
  done
}

if [ ${#sanitizers[@]} -gt 0 ]; then
  say "Dependencies"
  scripts/install_dependencies.sh --test --sanitizers
  for preset in "${sanitizers[@]}"; do run_sanitized "$preset" ${parts[@]+"${parts[@]/#/tests/}"}; done
  say "Result"
  summarise
  [ "$failed_runs" -eq 0 ]
  exit
fi

say "Dependencies"
scripts/install_dependencies.sh --test --sync --cuda --sanitizers

say "Release build"
cmake --preset release -DCAJAL_TESTS=ON -DCAJAL_BENCHMARKS=ON
cmake --build build/release --parallel "$(cores)"
tell_of_cuda build/release

say "All tests"
run_tests build/release

say "What cajal-sync stands for"
scripts/test-sync.sh build/release || failed_runs=$((failed_runs + 1))

say "The runtime with host access checked"
cmake --preset debug -DCAJAL_TESTS=ON -DCAJAL_BENCHMARKS=OFF -DCAJAL_CUDA=OFF
cmake --build build/debug --parallel "$(cores)" --target test_runtime
run_tests build/debug/tests/runtime

run_sanitized tsan tests/runtime tests/data

say "Result"
summarise
[ "$failed_runs" -eq 0 ]
