// The device's side of a fault.
#pragma once

#include "runtime/cuda/kernel_fault.h"

namespace cajal {

/// Fails the submission that runs. Any thread may call it, and several may: each writes a fault of
/// this submission, and one of them is told. Submissions of a queue follow one another, so an
/// earlier one's record is whole when this looks at it.
__device__ inline void raise_fault(const KernelFault& fault, std::int64_t index,
                                   std::int32_t value) {
  volatile FaultRecord* const record = fault.record;
  const std::uint64_t earlier = record->ticket;
  if (earlier != 0 && earlier != *fault.ticket) return;
  record->what = static_cast<std::uint64_t>(index + 1) << 32 | static_cast<std::uint32_t>(value);
  __threadfence_system();
  record->ticket = *fault.ticket;
}

}  // namespace cajal
