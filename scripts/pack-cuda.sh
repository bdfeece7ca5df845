#!/usr/bin/env bash
# Collects the programs of a CUDA build for a machine that has the card but not what cajal builds with.
#
#   scripts/pack-cuda.sh DIR [BUILD]      BUILD is build/cuda unless named
#
# DIR gets programs.tar.xz (the programs, stripped, and the shared libraries that a bare machine
# lacks), env.sh, which unpacks it there and finds the CUDA libraries, and cajal, which runs the
# program through env.sh. Prints what is in it and the size to be carried. Build for other processors
# than this one's with -DCAJAL_NATIVE=OFF.
#
#   DIR/cajal info
#   DIR/env.sh DIR/bin/ops_bench --benchmark_filter=linear
#   scripts/test-cuda.sh --prebuilt DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() {
  printf 'pack-cuda.sh: %s\n' "$*" >&2
  exit 2
}

case ${1:-} in
  -h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  '' | -*) fail "name the folder to fill; see --help" ;;
esac
to=$1
build=${2:-$here/../build/cuda}
[ -d "$build" ] || fail "no build folder $build"

readonly PROGRAMS="src/cli/cajal cajal bench/ops_bench tests/ops/test_ops tests/runtime/test_runtime
  tests/model/test_model tests/train/test_train"

# What every Linux with a C++ compiler or python has, and what comes with the card or the toolkit.
readonly PRESENT='^(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s|lib(cublas|cudnn|cudart|nvrtc|nvJit|nvidia).*|libcuda)(\.|$)'

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/bin" "$stage/lib"

found=0
for program in $PROGRAMS; do
  [ -x "$build/$program" ] && [ -f "$build/$program" ] || continue
  strip -s -o "$stage/bin/$(basename "$program")" "$build/$program"
  found=$((found + 1))
done
[ "$found" -gt 0 ] || fail "no programs in $build; build them first"

for program in "$stage"/bin/*; do ldd "$program"; done | sort -u | while read -r name _ path _; do
  if printf '%s' "$(basename "$name")" | grep -Eq "$PRESENT"; then continue; fi
  if [ "$path" = not ]; then
    printf 'pack-cuda.sh: warning: %s is not found here either\n' "$name" >&2
  elif [ -f "$path" ]; then
    cp -L "$path" "$stage/lib/$name"
  fi
done

mkdir -p "$to"
rm -rf "${to:?}/bin" "${to:?}/lib" "$to/programs.tar.xz"
# The programs share most of their kernels: the window must span several of them.
tar -cf - -C "$stage" bin lib | xz -T1 --lzma2=preset=2,dict=128MiB >"$to/programs.tar.xz"
cp "$here/cuda-env.sh" "$to/env.sh"
cat >"$to/cajal" <<'CAJAL'
#!/usr/bin/env bash
folder=$(cd "$(dirname "$0")" && pwd)
exec "$folder/env.sh" "$folder/bin/cajal" "$@"
CAJAL
chmod +x "$to/env.sh" "$to/cajal"

(cd "$stage" && ls -s --block-size=KiB bin/* lib/*)
printf '%s: %s to be carried, %s unpacked\n' "$to" "$(du -sh --apparent-size "$to" | cut -f1)" \
  "$(du -sh --apparent-size "$stage" | cut -f1)"
