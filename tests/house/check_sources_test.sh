#!/usr/bin/env bash
# Breaks each rule once, in a tree of its own, and expects check_sources.sh to name every breach.
set -euo pipefail
check=$(cd "$(dirname "$0")" && pwd)/check_sources.sh

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/src/runtime/cpu" "$tree/src/ops" "$tree/src/cli"
cd "$tree"

write() { printf '%s\n' "$2" >"$1"; }
write src/ops/wait.cpp 'void f() { cudaStreamSynchronize(nullptr); }'
write src/ops/block.cpp 'std::condition_variable c;'
write src/ops/quit.cpp 'void f() { std::exit(1); }'
write src/ops/backend.cpp '#ifdef CAJAL_CUDA'
write src/ops/layer.cpp '#include "train/trainer.h"'
write src/ops/bare.h 'int x;'
write src/ops/later.cpp '// TODO: finish'
awk 'BEGIN { for (i = 0; i < 501; i++) print "// line" }' >src/ops/long.cpp

# These keep the rules: the one wait, a queue's own thread, the program, a comment.
write src/runtime/host_wait.cpp '#include <condition_variable>'
write src/runtime/cpu/cpu_queue.cpp '#include <condition_variable>'
write src/cli/main.cpp 'void f() { std::exit(1); }'
write src/ops/comment.cpp '// never exit(1), never cudaStreamSynchronize'

if report=$("$check" "$tree" 2>/dev/null); then
  echo "check_sources.sh passed a tree full of breaches"
  exit 1
fi

failures=0
for file in wait.cpp:1 block.cpp:1 quit.cpp:1 backend.cpp:1 layer.cpp:1 bare.h:1 later.cpp:1 long.cpp:500; do
  printf '%s\n' "$report" | grep -q "^src/ops/$file: " || {
    echo "missed: src/ops/$file"
    failures=1
  }
done
if printf '%s\n' "$report" | grep -E '^src/(runtime|cli|ops/comment)'; then
  echo "the lines above are no breaches"
  failures=1
fi
exit "$failures"
