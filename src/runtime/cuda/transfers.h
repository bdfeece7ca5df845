// Copies around a submission.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cajal/command_queue.h"

namespace cajal {

/// A word on the device that names the submission now running.
struct TicketWord {
  std::uint64_t* address = nullptr;
  std::uint64_t ticket = 0;
};

/// Host to device, in stream order. Blocks must be pinned and stay until the stream has passed.
/// Writes the ticket, in the launch that brings the small ones.
void copy_to_device(cudaStream_t stream, const std::vector<Upload>& uploads,
                    const TicketWord& running);

/// Device to host, likewise.
void copy_to_host(cudaStream_t stream, const std::vector<Download>& downloads);

/// One memory region to copy, by addresses that the device can use.
struct Copy {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::size_t bytes = 0;
};

/// All of them in one launch, without the copy engine's latency: for a few values of a step. Where
/// there is a ticket to write, one launch even without copies.
void copy_small(cudaStream_t stream, const std::vector<Copy>& copies, const TicketWord& running);

}  // namespace cajal
