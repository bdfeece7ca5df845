// Copies around a submission.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <vector>

#include "cajal/command_queue.h"

namespace cajal {

/// Host to device, in stream order. Blocks must be pinned and stay until the stream has passed.
void copy_to_device(cudaStream_t stream, const std::vector<Upload>& uploads);

/// Device to host, likewise.
void copy_to_host(cudaStream_t stream, const std::vector<Download>& downloads);

/// One memory region to copy, by addresses that the device can use.
struct Copy {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::size_t bytes = 0;
};

/// All of them in one launch, without the copy engine's latency: for a few values of a step.
void copy_small(cudaStream_t stream, const std::vector<Copy>& copies);

}  // namespace cajal
