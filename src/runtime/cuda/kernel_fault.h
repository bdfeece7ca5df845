// How a kernel tells the host what is wrong with its data.
#pragma once

#include <cstdint>

namespace cajal {

/// In host memory, written by kernels. Replays of one graph share it and two of them may be in
/// flight, so it names the submission that wrote it: the first, for later ones leave it alone.
struct FaultRecord {
  std::uint64_t ticket = 0;  ///< 0: nothing is wrong.
  std::uint64_t what = 0;    ///< Index + 1 in the upper half, the offending value in the lower.
};

/// What a kernel is handed, by value, to report with raise_fault (runtime/cuda/kernel_fault.cuh).
struct KernelFault {
  FaultRecord* record = nullptr;          ///< As the device addresses it.
  const std::uint64_t* ticket = nullptr;  ///< On the device: the submission that is running.
};

}  // namespace cajal
