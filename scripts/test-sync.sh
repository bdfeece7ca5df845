#!/usr/bin/env bash
# Prints the figures that cajal-sync stands for: random programs, corpus, mutants, own sources, speed.
#
#   scripts/test-sync.sh [BUILD]
#
# BUILD is a build folder, build/release when not given. CAJAL_SYNC_PROGRAMS sets how many random
# programs are drawn; 100,000 when not given.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
programs=${CAJAL_SYNC_PROGRAMS:-100000}

say() { printf '\n== %s\n' "$*"; }

if [ ! -x "$build/tests/sync/test_sync" ]; then
  echo "test-sync.sh: $build has no tests; cmake --build $build --target test_sync test_sync_cases" >&2
  exit 2
fi

say "Random programs"
CAJAL_SYNC_PROGRAMS=$programs "$build/tests/sync/test_sync" --gtest_brief=1

if [ ! -x "$build/cajal-sync" ]; then
  echo "cajal-sync is not built here: no LLVM development packages" >&2
  exit 0
fi

say "Corpus"
"$build/tests/sync/test_sync_cases" --gtest_brief=1

say "Own sources"
"$build/cajal-sync" scan src/runtime/cuda -- -Iinclude -Isrc || [ $? -eq 1 ]

say "Speed: one host file of 5,000 lines"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 tests/sync/make_trainer.py 5000 >"$folder/trainer.mm"
wc -l <"$folder/trainer.mm"
command time -f '%e s, %M KiB' "$build/cajal-sync" scan "$folder/trainer.mm" >"$folder/table" || true
tail -n 1 "$folder/table"
