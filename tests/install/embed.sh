#!/usr/bin/env bash
# Installs a build into a folder of its own, builds examples/embed against it and runs that.
#
#   tests/install/embed.sh SOURCE BUILD GENERATOR COMPILER FILE...
#
# FILEs are what the installation needs; when one is not built the test is skipped (exit code 77).
set -euo pipefail
source_folder=$1 build=$2 generator=$3 compiler=$4
shift 4

for file in "$@"; do
  if [ ! -e "$file" ]; then
    echo "not built: $file"
    exit 77
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The prefix alone leads to cajal, as for anybody who installed it outside /usr.
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cmake -S "$source_folder/examples/embed" -B "$work/build" -G "$generator" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler"
cmake --build "$work/build"

expected='step 1 done
step 2 done
step 3 done
8 16 24 32 '
actual=$("$work/build/embed")
if [ "$actual" != "$expected" ]; then
  printf 'expected:\n%s\ngot:\n%s\n' "$expected" "$actual"
  exit 1
fi

# What is installed stands alone: no path of the source tree or of the build remains in it.
if grep -rlF -e "$source_folder" -e "$build" "$work/prefix/include" "$work"/prefix/lib*/cmake \
  "$work"/prefix/lib/*/cmake 2>/dev/null; then
  echo "the files above name the source tree or the build"
  exit 1
fi
if [ -x "$work/prefix/bin/cajal" ]; then "$work/prefix/bin/cajal" info; fi
