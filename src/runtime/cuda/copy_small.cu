#include <algorithm>
#include <array>
#include <cstdint>

#include "runtime/cuda/handles.h"
#include "runtime/cuda/transfers.h"

namespace cajal {
namespace {

constexpr std::size_t kCopiesPerLaunch = 8;
constexpr unsigned kThreads = 1024;

struct CopyList {
  Copy copies[kCopiesPerLaunch];
};

template <class Word>
__device__ bool aligned(const Copy& copy) {
  const auto bits = reinterpret_cast<std::uintptr_t>(copy.from) |
                    reinterpret_cast<std::uintptr_t>(copy.to) | copy.bytes;
  return bits % sizeof(Word) == 0;
}

template <class Word>
__device__ void copy_words(const Copy& copy) {
  const auto* from = reinterpret_cast<const Word*>(copy.from);
  auto* to = reinterpret_cast<Word*>(copy.to);
  const std::size_t words = copy.bytes / sizeof(Word);
  for (std::size_t i = threadIdx.x; i < words; i += blockDim.x) to[i] = from[i];
}

/// One block a copy; the first one also writes the ticket.
__global__ void copy_kernel(CopyList list, TicketWord running) {
  if (blockIdx.x == 0 && threadIdx.x == 0 && running.address != nullptr) {
    *running.address = running.ticket;
  }
  const Copy copy = list.copies[blockIdx.x];
  if (aligned<uint4>(copy)) {
    copy_words<uint4>(copy);
  } else if (aligned<std::uint32_t>(copy)) {
    copy_words<std::uint32_t>(copy);
  } else {
    copy_words<std::uint8_t>(copy);
  }
}

}  // namespace

void copy_small(cudaStream_t stream, const std::vector<Copy>& copies, const TicketWord& running) {
  const bool ticket_alone = copies.empty() && running.address != nullptr;
  for (std::size_t first = 0; first < copies.size() || (ticket_alone && first == 0);
       first += kCopiesPerLaunch) {
    const std::size_t count = std::min(kCopiesPerLaunch, copies.size() - first);
    CopyList list{};
    std::copy_n(copies.begin() + static_cast<std::ptrdiff_t>(first), count, list.copies);
    const auto blocks = static_cast<unsigned>(std::max<std::size_t>(count, 1));
    copy_kernel<<<blocks, kThreads, 0, stream>>>(list, running);
    check_cuda(cudaGetLastError(), "copy_small");
  }
}

}  // namespace cajal
