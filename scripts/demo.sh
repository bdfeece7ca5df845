#!/usr/bin/env bash
# Sets up, builds cajal, trains a small GPT on this machine's C++ headers and prints what it learnt.
#
#   scripts/demo.sh
#
# Works from any directory, with or without a terminal, in under five minutes on two cores. The run
# is left in runs/demo; a run already there is kept beside it as runs/demo.1 and so on.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly RUN=runs/demo
readonly MINUTES=2

say() { printf '\n== %s\n' "$*"; }

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || sysctl -n hw.ncpu; }

# Nobody's earlier run is overwritten.
keep_earlier_run() {
  [ -e "$RUN" ] || return 0
  local number=1
  while [ -e "$RUN.$number" ]; do number=$((number + 1)); done
  mv "$RUN" "$RUN.$number"
  printf 'An earlier run is kept as %s.%s\n' "$RUN" "$number"
}

say "1/4 Dependencies"
scripts/install_dependencies.sh

say "2/4 Building the cajal program"
cmake --preset release -DCAJAL_TESTS=OFF -DCAJAL_BENCHMARKS=OFF --log-level=WARNING
cmake --build build/release --parallel "$(cores)" --target cajal
cajal=build/release/cajal

say "3/4 Training the tiny preset for $MINUTES minutes on the C++ standard library's headers"
keep_earlier_run
"$cajal" train --preset tiny --minutes "$MINUTES" --out "$RUN"

say "4/4 What it has learnt: a sample that continues 'template <typename'"
"$cajal" generate "$RUN" --prompt 'template <typename' --max-tokens 200 --temperature 0.7 --seed 1
printf '\n\nMore: %s generate %s --prompt "namespace std"\n' "$cajal" "$RUN"
