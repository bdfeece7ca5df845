#include "runtime/cuda/transfers.h"

#include "runtime/cuda/handles.h"

namespace cajal {
namespace {

/// Up to here a kernel that reads or writes across the bus is quicker than the copy engine.
constexpr std::size_t kSmall = 64 << 10;

void copy(cudaStream_t stream, const std::vector<Copy>& copies, const TicketWord& running) {
  std::vector<Copy> small;
  for (const Copy& c : copies) {
    if (c.bytes == 0) continue;
    if (c.bytes <= kSmall) {
      small.push_back(c);
    } else {
      check_cuda(cudaMemcpyAsync(c.to, c.from, c.bytes, cudaMemcpyDefault, stream),
                 "cudaMemcpyAsync");
    }
  }
  copy_small(stream, small, running);
}

}  // namespace

void copy_to_device(cudaStream_t stream, const std::vector<Upload>& uploads,
                    const TicketWord& running) {
  std::vector<Copy> copies;
  for (const Upload& up : uploads) {
    copies.push_back({up.from->data, up.to.device_data<std::byte>(), up.to.size()});
  }
  copy(stream, copies, running);
}

void copy_to_host(cudaStream_t stream, const std::vector<Download>& downloads) {
  std::vector<Copy> copies;
  for (const Download& down : downloads) {
    copies.push_back({down.from.device_data<std::byte>(), down.to->data, down.from.size()});
  }
  copy(stream, copies, {});
}

}  // namespace cajal
