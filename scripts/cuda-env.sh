#!/usr/bin/env bash
# Where programs of the CUDA build find their libraries.
#
#   scripts/cuda-env.sh PROGRAM [ARGUMENT...]   runs it
#   . scripts/cuda-env.sh                       sets LD_LIBRARY_PATH in this shell instead
#
# Looks into the nvidia-* packages of python3 (or PYTHON), which carry cuBLAS and cuDNN, and into the
# CUDA toolkit. scripts/pack-cuda.sh puts a copy beside the programs that it collects: that one looks
# beside itself first, and unpacks the programs when they are first wanted.

cajal_cuda_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# One folder a line, of what is there.
cajal_cuda_folders() {
  if [ -d "$cajal_cuda_here/lib" ]; then printf '%s\n' "$cajal_cuda_here/lib"; fi
  "${PYTHON:-python3}" - 2>/dev/null <<'PYTHON'
import glob, sys

for place in sys.path:
    for folder in sorted(glob.glob(place + "/nvidia/*/lib")):
        print(folder)
PYTHON
  local folder
  for folder in "${CUDA_HOME:-/usr/local/cuda}"/lib64 /usr/local/cuda/lib64; do
    if [ -d "$folder" ]; then printf '%s\n' "$folder"; fi
  done
}

cajal_cuda_unpack() {
  local archive=$cajal_cuda_here/programs.tar.xz
  if [ ! -f "$archive" ] || [ "$cajal_cuda_here/bin" -nt "$archive" ]; then return; fi
  if command -v xz >/dev/null; then
    tar -xJf "$archive" -C "$cajal_cuda_here"
  else
    "${PYTHON:-python3}" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
      "$archive" "$cajal_cuda_here"
  fi && touch "$cajal_cuda_here/bin"
}

cajal_cuda_unpack
LD_LIBRARY_PATH=$(cajal_cuda_folders | awk '!seen[$0]++' | paste -sd: -)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

if [ "${BASH_SOURCE[0]}" = "$0" ] && [ $# -gt 0 ]; then exec "$@"; fi
