#!/usr/bin/env bash
# The rules of the house that a compiler does not check.
#
#   tests/house/check_sources.sh [ROOT]
#
# Prints one line a breach, FILE:LINE: RULE, and exits 1 when there is any.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

breaches=$(mktemp)
trap 'rm -f "$breaches"' EXIT

# sources EXTENSION...: files under the folders that hold code, those that exist.
sources() {
  local folder extension
  for folder in include src tests bench examples fuzz; do
    [ -d "$folder" ] || continue
    for extension in "$@"; do find "$folder" -type f -name "*.$extension"; done
  done | sort
}

# ban RULE PATTERN ALLOWED FILE...: no line of code may match the extended regular expression, but
# in files whose path matches ALLOWED ("-" for none). Line comments do not count as code.
ban() {
  local rule=$1 pattern=$2 allowed=$3 file
  shift 3
  for file in "$@"; do
    if [ "$allowed" != - ] && printf '%s' "$file" | grep -Eq "$allowed"; then continue; fi
    sed 's|//.*||' "$file" | grep -En "$pattern" | sed "s|^\([0-9]*\):.*|$file:\1: $rule|" || true
  done
}

code=()
headers=()
library=()
while IFS= read -r file; do code+=("$file"); done < <(sources h cpp cu cuh mm)
while IFS= read -r file; do headers+=("$file"); done < <(sources h cuh)
for file in ${code[@]+"${code[@]}"}; do
  case $file in src/* | include/*) library+=("$file") ;; esac
done
if [ ${#library[@]} -eq 0 ]; then
  echo "check_sources.sh: no sources in $PWD" >&2
  exit 2
fi

# The host waits for a device in one function; a queue's completion thread learns of a GPU's progress
# in one other. The rest of the files named here have a thread of their own that waits for work (never
# for a device), or no device at all.
readonly HOST_WAIT='^src/runtime/host_wait\.(h|cpp)$|^src/runtime/cuda/handles\.cpp$'
readonly OWN_THREADS='^src/runtime/(host_wait|handler_thread|[a-z]+/[a-z]+_queue)\.(h|cpp)$|^src/data/|^src/train/checkpoint_writer\.(h|cpp)$'
readonly PRIMITIVES='condition_variable|std::(future|latch|barrier|binary_semaphore|counting_semaphore)'
check_waits() {
  ban "the host waits for a device in host_wait alone" \
    '(cuda|cu)(Stream|Device|Event|Ctx)Synchronize|waitUntil(Completed|Scheduled)' "$HOST_WAIT|^src/sync/" \
    "${library[@]}"
  ban "a blocking primitive outside host_wait, the queues' own threads and src/data" \
    "$PRIMITIVES" "$OWN_THREADS" "${library[@]}"
}

check_exits() {
  ban "libraries report by Error and never end the process" \
    '(^|[^_[:alnum:]])(exit|_exit|_Exit|quick_exit|abort|terminate) *\(' '^src/cli/|^src/sync/app\.cpp$' "${library[@]}"
}

check_backend_conditionals() {
  ban "a backend is chosen by the build's file list, not by the preprocessor" \
    '^ *# *(if|ifdef|ifndef|elif).*(CUDA|METAL)' - "${library[@]}"
}

# Arrows point down only: cli, train, model, ops, runtime; data beside model.
check_layers() {
  local layer above
  while read -r layer above; do
    local files=()
    while IFS= read -r file; do files+=("$file"); done < <(printf '%s\n' "${library[@]}" | grep "^src/$layer/")
    [ ${#files[@]} -eq 0 ] && continue
    ban "$layer must not know the layers above it" "^ *#include \"($above)/" - "${files[@]}"
  done <<'LAYERS'
runtime ops|model|data|train|cli|sync
ops model|data|train|cli|sync
data ops|model|train|cli|sync
model train|cli|sync
train cli|sync
sync runtime|ops|model|data|train|cli
LAYERS
}

check_headers() {
  local file
  for file in ${headers[@]+"${headers[@]}"}; do
    head -n 1 "$file" | grep -q '^// ' || echo "$file:1: a header opens with a comment that says what it is"
    grep -q '^#pragma once$' "$file" || echo "$file:1: a header has #pragma once"
  done
}

check_length() {
  local file lines
  for file in "${code[@]}" $(sources py sh); do
    case $file in tests/sync/cases/*) continue ;; esac  # Some are to be as long as real programs.
    lines=$(wc -l <"$file")
    [ "$lines" -le 500 ] || echo "$file:500: $((lines)) lines; files stay within 500"
  done
}

check_leftovers() {
  local file
  for file in "${code[@]}" $(sources py sh txt); do
    case $file in tests/house/*) continue ;; esac
    grep -En '(^|[^[:alnum:]])(TODO|FIXME|XXX|HACK)([^[:alnum:]]|$)' "$file" |
      sed "s|^\([0-9]*\):.*|$file:\1: unfinished work|" || true
  done
}

# Releases of clang-format disagree with each other, so one is the judge.
readonly JUDGE=14
check_format() {
  local tool
  for tool in clang-format-$JUDGE clang-format; do
    if "$tool" --version 2>/dev/null | grep -q "version $JUDGE\."; then
      "$tool" --dry-run -Werror "${code[@]}" 2>&1 |
        sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error:.*/\1:1: not as clang-format -i writes it/p' || true
      return
    fi
  done
  echo "clang-format $JUDGE is not here: layout not checked" >&2
}

{
  check_waits
  check_exits
  check_backend_conditionals
  check_layers
  check_headers
  check_length
  check_leftovers
  check_format
} >"$breaches"

if [ -s "$breaches" ]; then
  sort -u "$breaches"
  exit 1
fi
echo "${#code[@]} files keep the rules"
