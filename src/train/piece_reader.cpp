#include "train/piece_reader.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace cajal::train {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{16} << 20;
constexpr std::size_t kPiecesAhead = 4;

std::vector<Buffer> cut(const std::vector<Buffer>& buffers) {
  std::vector<Buffer> pieces;
  for (const Buffer& buffer : buffers) {
    for (std::size_t first = 0; first < buffer.size(); first += kPieceBytes) {
      pieces.push_back(buffer.slice(first, std::min(kPieceBytes, buffer.size() - first)));
    }
  }
  return pieces;
}

/// A piece on its way.
struct Arriving {
  Ticket ticket = 0;
  std::shared_ptr<HostBlock> block;
};

}  // namespace

PieceReader::PieceReader(std::shared_ptr<Device> device) : device_(std::move(device)) {
  if (device_->info().shares_host_memory) return;
  queue_.emplace(device_, QueueOptions{.max_in_flight = static_cast<int>(kPiecesAhead) + 1});
}

void PieceReader::read(const std::vector<Buffer>& buffers,
                       const std::function<void(std::span<const std::byte> bytes)>& take) {
  const std::vector<Buffer> pieces = cut(buffers);
  if (!queue_) {
    for (const Buffer& piece : pieces) take(piece.host_read<std::byte>());
    return;
  }
  std::deque<Arriving> arriving;
  std::size_t asked = 0;
  const auto ask = [&] {
    const Buffer& piece = pieces[asked++];
    const auto block = device_->staging(piece.size());
    Submission submission;
    submission.downloads.push_back({piece, block});
    arriving.push_back(
        {queue_->commit(queue_->command_buffer("read"), std::move(submission)), block});
  };
  while (asked < pieces.size() || !arriving.empty()) {
    while (asked < pieces.size() && arriving.size() < kPiecesAhead) ask();
    const Arriving next = std::move(arriving.front());
    arriving.pop_front();
    queue_->wait(next.ticket, WaitReason::checkpoint);
    take(std::span<const std::byte>(next.block->data, next.block->size));
  }
}

}  // namespace cajal::train
