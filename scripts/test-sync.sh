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
  echo "test-sync.sh: $build has no tests; build it with tests first" >&2
  exit 2
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# all_at_once COMMAND...: runs the commands, each a string, side by side, shows what each printed in
# their order, and fails where one did.
all_at_once() {
  local pids=() failed=0 i=0
  for command in "$@"; do
    bash -c "$command" >"$folder/out.${#pids[@]}" 2>&1 &
    pids+=($!)
  done
  for ((i = 0; i < ${#pids[@]}; ++i)); do
    wait "${pids[i]}" || failed=1
    cat "$folder/out.$i"
  done
  return "$failed"
}

say "Random programs"
cores=$(getconf _NPROCESSORS_ONLN)
share=$(((programs + cores - 1) / cores))
drawn=()
for ((first = 1; first <= programs; first += share)); do
  count=$((first + share - 1 <= programs ? share : programs - first + 1))
  drawn+=("CAJAL_SYNC_SEED=$first CAJAL_SYNC_PROGRAMS=$count '$build/tests/sync/test_sync' --gtest_brief=1")
done
all_at_once "${drawn[@]}"

if [ ! -x "$build/cajal-sync" ]; then
  echo "cajal-sync is not built here: no LLVM development packages" >&2
  exit 0
fi

say "Corpus, edits, the program; compiled programs on the simulated device; broken sources"
all_at_once "'$build/tests/sync/test_sync_cases' --gtest_brief=1" \
  "'$build/tests/sync/test_sync_run' --gtest_brief=1 &&
   '$build/tests/sync/test_sync_fuzz' --gtest_brief=1"

say "Own sources"
"$build/cajal-sync" scan src/runtime src/ops src/model src/train src/cli -- -Iinclude -Isrc

# timed COMMAND...: runs it into $folder/table and prints its time and the memory that it took.
timed() {
  python3 - "$folder/table" "$@" <<'EOF'
import resource, subprocess, sys, time
start = time.monotonic()
with open(sys.argv[1], "w") as table:
    code = subprocess.run(sys.argv[2:], stdout=table, check=False).returncode
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(f"{time.monotonic() - start:.2f} s, {memory} MiB")
sys.exit(code if code > 1 else 0)
EOF
}

say "Speed: one host file of 5,000 lines"
python3 tests/sync/make_trainer.py 5000 >"$folder/trainer.mm"
timed "$build/cajal-sync" scan "$folder/trainer.mm"
tail -n 1 "$folder/table"

say "Speed: 200 files"
mkdir "$folder/many"
python3 tests/sync/make_trainer.py 200 >"$folder/one.mm"
for i in $(seq 200); do cp "$folder/one.mm" "$folder/many/host$i.mm"; done
timed "$build/cajal-sync" scan "$folder/many"
grep 'files; waits' "$folder/table"
