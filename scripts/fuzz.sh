#!/usr/bin/env bash
# Fuzzes every reader of outside bytes (fuzz/targets.h) with libFuzzer, ASan and UBSan.
#
#   scripts/fuzz.sh [--minutes N] [--jobs N] [--corpora DIR] [TARGET...]
#   scripts/fuzz.sh --pack DIR                  builds, and puts all that a run needs into DIR
#   scripts/fuzz.sh --prebuilt DIR [...]        runs what --pack put there; needs no compiler
#   scripts/fuzz.sh --coverage [--corpora DIR]  the share of each reader's lines that the corpora reach
#
#   --minutes N     of each target; fractions are fine; 1 unless said otherwise
#   --jobs N        targets at a time; one a processor unless said otherwise
#   --corpora DIR   where grown corpora are kept, DIR/<target>; seeds are always used as well
#
# An input that crashes, breaks a contract, takes over 10 s, allocates over 256 MB at once or 2 GB in
# all is a finding: kept under findings/, and the exit status is 1. A target goes on after a finding
# until its time is over or it has five.
set -euo pipefail
source_root=$(cd "$(dirname "$0")/.." && pwd)

minutes=1
jobs=$(getconf _NPROCESSORS_ONLN)
mode=run
home=
corpora=
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=$2; shift 2 ;;
    --jobs) jobs=$2; shift 2 ;;
    --corpora) mkdir -p "$2"; corpora=$(cd "$2" && pwd); shift 2 ;;
    --pack) mode=pack; home=$2; shift 2 ;;
    --prebuilt) mode=prebuilt; home=$2; shift 2 ;;
    --coverage) mode=coverage; shift ;;
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "fuzz.sh: unknown option $1; see --help" >&2; exit 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done

# configure_and_build PRESET: the programs of that preset, and nothing else.
configure_and_build() {
  (cd "$source_root" && cmake --preset "$1" >/dev/null)
  cmake --build "$source_root/build/$1" --parallel "$(getconf _NPROCESSORS_ONLN)" --target fuzzers
}

# pack PROGRAMS DIR: programs, seeds, dictionaries, this script, and the libraries that are not the C
# library's own, so that a machine with a newer one can run them.
pack() {
  mkdir -p "$2/lib" "$2/seeds"
  cp "$1"/fuzz_* "$2"
  strip --strip-debug "$2"/fuzz_*  # A finding is looked at here, where the lines are.
  cp -r "$source_root"/fuzz/corpus/. "$2/seeds"
  cp "$source_root"/fuzz/*.dict "$source_root/scripts/fuzz.sh" "$2"
  ldd "$1"/fuzz_* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    grep -Ev '/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux[^/]*)\.so' |
    while read -r library; do cp -L "$library" "$2/lib"; done
}

# known_targets FOLDER: those with a program there.
known_targets() { find "$1" -maxdepth 1 -name 'fuzz_*' -perm -u+x -exec basename {} \; | sed 's/^fuzz_//' | sort; }

# fuzz_one TARGET: runs it until its time is over, starting again after a finding; leaves its row.
fuzz_one() {
  local target=$1 begin=$SECONDS seconds left log runs=0 edges=0 found=0 units
  seconds=$(awk -v m="$minutes" 'BEGIN { printf "%d", m * 60 }')
  mkdir -p "$corpora/$target"
  log=$work/log-$target.txt
  : >"$log"
  while left=$((seconds - SECONDS + begin)) && [ "$left" -gt 0 ] && [ "$found" -lt 5 ]; do
    "$programs/fuzz_$target" "$corpora/$target" "$seeds/$target" -dict="$dictionaries/$target.dict" \
      -max_total_time="$left" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 -max_len=65536 \
      -artifact_prefix="$findings/$target-" -print_final_stats=1 >"$log.part" 2>&1 && status=0 || status=$?
    cat "$log.part" >>"$log"
    units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log.part" | tail -n 1)
    runs=$((runs + ${units:-0}))
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log.part" | tail -n 1)
    rm -f "$log.part"
    if [ "$status" -ne 0 ]; then found=$((found + 1)); fi
  done
  printf '%-18s %12s %8s %8s %9s\n' "$target" "$runs" "${edges:-0}" \
    "$(find "$corpora/$target" -type f | wc -l)" "$found" >"$work/row-$target"
}

run_all() {
  findings=$work/findings
  mkdir -p "$findings"
  export ASAN_OPTIONS=${ASAN_OPTIONS:-} UBSAN_OPTIONS=print_stacktrace=1
  rm -f "$work"/row-*
  local target
  for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    fuzz_one "$target" &
  done
  wait
  printf '%-18s %12s %8s %8s %9s\n' target executions edges corpus findings
  cat "$work"/row-*
  local found
  found=$(awk '{ sum += $5 } END { print sum + 0 }' "$work"/row-*)
  printf '%s findings in %s targets of %s minutes each\n' "$found" "${#targets[@]}" "$minutes"
  if [ "$found" -ne 0 ]; then
    grep -hE '^(SUMMARY|==[0-9]+== *ERROR|ALARM)|Violation|what\(\)|runtime error' "$work"/log-*.txt | sort | uniq -c
    find "$findings" -type f | sed 's/^/  /'
    return 1
  fi
}

# sources_of TARGET: the files whose lines count as that reader's.
sources_of() {
  local file
  case $1 in
    config_json) set -- model/gpt_config ;;
    manifest) set -- train/manifest ;;
    metrics) set -- train/metrics ;;
    safetensors) set -- train/safetensors_header train/safetensors train/foreign_file ;;
    safetensors_index) set -- train/safetensors_index ;;
    settings_toml) set -- cli/config_file ;;
    text_corpus) set -- data/corpus data/text_probe data/text_decoder data/utf8 ;;
    token_shard) set -- data/token_shard data/windows data/loader data/file ;;
    tokenizer_json) set -- data/tokenizer_json data/tokenizer_pipeline data/added_tokens data/phrase_finder data/word_encoder ;;
    trainer_state) set -- train/trainer_state train/settings ;;
    words) set -- data/splitter data/unicode data/utf8 ;;
    *) return ;;
  esac
  for file in "$@"; do printf '%s/src/%s.cpp\n' "$source_root" "$file"; done
}

# llvm_tool NAME: the one of clang's own release, for it alone reads what that clang counted.
llvm_tool() {
  local release
  release=$(clang++ -dumpversion | cut -d. -f1)
  command -v "$1-$release" || command -v "$1"
}

measure_coverage() {
  local target profile inputs
  printf '%-18s %7s %8s %8s   %s\n' target lines missed covered of
  for target in "${targets[@]}"; do
    profile=$work/$target.profraw
    inputs=("$seeds/$target")
    if [ -d "$corpora/$target" ]; then inputs+=("$corpora/$target"); fi
    LLVM_PROFILE_FILE=$profile "$programs/fuzz_$target" "${inputs[@]}" -runs=0 \
      >"$work/coverage-$target.txt" 2>&1
    "$(llvm_tool llvm-profdata)" merge -sparse "$profile" -o "$work/$target.profdata"
    # shellcheck disable=SC2046
    "$(llvm_tool llvm-cov)" report "$programs/fuzz_$target" -instr-profile="$work/$target.profdata" \
      $(sources_of "$target") >"$work/report-$target.txt"
    awk -v target="$target" -v of="$(sources_of "$target" | sed 's|.*/src/||' | paste -sd' ')" \
      '$1 == "TOTAL" { printf "%-18s %7s %8s %8s   %s\n", target, $8, $9, $10, of }' "$work/report-$target.txt"
  done
}

case $mode in
  run | pack)
    configure_and_build fuzz
    work=$source_root/build/fuzz
    ;;
  coverage)
    configure_and_build fuzz-coverage
    work=$source_root/build/fuzz-coverage
    ;;
  prebuilt) work=$(cd "$home" && pwd) ;;
esac
if [ "$mode" = prebuilt ]; then
  programs=$work seeds=$work/seeds dictionaries=$work
else
  programs=$work/programs seeds=$source_root/fuzz/corpus dictionaries=$source_root/fuzz
fi
corpora=${corpora:-$source_root/build/fuzz/corpora}
if [ "$mode" = prebuilt ] && [ "$corpora" = "$source_root/build/fuzz/corpora" ]; then corpora=$work/corpora; fi
if [ ${#targets[@]} -eq 0 ]; then mapfile -t targets < <(known_targets "$programs"); fi

case $mode in
  pack) pack "$programs" "$home" && echo "packed ${#targets[@]} targets into $home" ;;
  coverage) measure_coverage ;;
  *) run_all ;;
esac
