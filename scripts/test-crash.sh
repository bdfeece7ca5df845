#!/usr/bin/env bash
# Kills, power cuts and failing disks against real training runs: nothing that was saved is lost.
#
#   scripts/test-crash.sh [--kills N] [--states N] [--stride N] [--seed S] [--ranks 1] [--build DIR]
#
#   --kills N    SIGKILLs, at least half of them inside a save, in both ways of saving (200)
#   --states N   disks as a power cut may leave them (300)
#   --stride N   every Nth write, fsync, ... of a save fails (1: each of them)
#   --seed S     of the moments and states; printed, so that a run can be had again
#   --ranks N    processes that train together; 1 is all that there is
#   --build DIR  the build to test (build/release, which is built first where it is not there)
#
# 0 switches a part off; --kills 0 --states 0 --stride 0 does nothing. Each part ends in a line of
# counts; the exit status is 1 when anything was lost. Needs Python 3; all but the kills needs Linux.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=200
states=300
stride=1
seed=$((RANDOM * 32768 + RANDOM))
build=build/release
while [ $# -gt 0 ]; do
  case $1 in
    --kills) kills=$2; shift 2 ;;
    --states) states=$2; shift 2 ;;
    --stride) stride=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    --ranks)
      [ "$2" = 1 ] || { echo "test-crash.sh: --ranks $2: training takes place in one process" >&2; exit 2; }
      shift 2
      ;;
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test-crash.sh: unknown option $1; see --help" >&2; exit 2 ;;
  esac
done

if [ ! -x "$build/cajal" ] || [ ! -e "$build/tests/crash/libcajal_disk.so" ]; then
  cmake --preset release -DCAJAL_TESTS=ON
  cmake --build build/release --parallel --target cajal cajal_disk
fi
cajal=$build/cajal
disk=(--preload "$build/tests/crash/libcajal_disk.so" --tokenizer fuzz/corpus/tokenizer_json/pairs)
failed=0
export PYTHONDONTWRITEBYTECODE=1

say() { printf '\n== %s\n' "$*"; }

if [ "$kills" -gt 0 ]; then
  say "Kills"
  python3 tests/crash/kills.py --cajal "$cajal" --kills "$kills" --seed "$seed" || failed=1
fi
if [ "$states" -gt 0 ]; then
  say "Power cuts"
  python3 tests/crash/power.py --cajal "$cajal" "${disk[@]}" --states "$states" --seed "$seed" || failed=1
fi
if [ "$stride" -gt 0 ]; then
  say "Failing disks, vanishing data, two runs, copies, a jumping clock"
  python3 tests/crash/faults.py --cajal "$cajal" "${disk[@]}" --stride "$stride" || failed=1
fi
exit "$failed"
