#include "train/snapshot.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "ops/fill/fill.h"
#include "train/piece_reader.h"

namespace cajal::train {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{64} << 20;

std::size_t index_of(Arena arena) { return static_cast<std::size_t>(arena); }

Tensor copy_of(Device& device, const Tensor& tensor) {
  return {device.allocate(tensor.buffer.size(), "snapshot"), tensor.dtype, tensor.shape};
}

/// An arena in host memory, cut into blocks of one size (the last may be shorter).
using HostArena = std::vector<std::shared_ptr<HostBlock>>;

HostArena allocate_host(Device& device, std::size_t bytes) {
  HostArena blocks;
  for (std::size_t first = 0; first < bytes; first += kBlockBytes) {
    blocks.push_back(device.staging(std::min(kBlockBytes, bytes - first)));
  }
  return blocks;
}

std::vector<Download> downloads_of(const Buffer& arena, const HostArena& blocks) {
  std::vector<Download> downloads;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    downloads.push_back({arena.slice(i * kBlockBytes, blocks[i]->size), blocks[i]});
  }
  return downloads;
}

void read_blocks(const HostArena& blocks, std::size_t offset, std::size_t bytes,
                 const TakePiece& take) {
  while (bytes > 0) {
    const HostBlock& block = *blocks[offset / kBlockBytes];
    const std::size_t within = offset % kBlockBytes;
    const std::size_t size = std::min(bytes, block.size - within);
    take(std::span<const std::byte>(block.data + within, size));
    offset += size;
    bytes -= size;
  }
}

}  // namespace

StateArenas arenas_of(const model::Parameters& parameters, const Optimizer& optimizer) {
  return {parameters.master(), optimizer.m(), optimizer.v()};
}

ReadState read_arenas(std::shared_ptr<Device> device, StateArenas arenas) {
  const auto reader = std::make_shared<PieceReader>(std::move(device));
  return [reader, arenas = std::move(arenas)](const std::vector<ArenaSlice>& slices,
                                              const TakePiece& take) {
    std::vector<Buffer> buffers;
    for (const ArenaSlice& slice : slices) {
      buffers.push_back(arenas[index_of(slice.arena)].buffer.slice(slice.offset, slice.bytes));
    }
    reader->read(buffers, take);
  };
}

struct Snapshot::State {
  CommandQueue* queue = nullptr;
  StateArenas originals;
  std::shared_ptr<CommandBuffer> commands;
  // One of the two:
  StateArenas copies;
  std::array<HostArena, kArenas> host;
};

Snapshot::Snapshot(CommandQueue& queue, const model::Parameters& parameters,
                   const Optimizer& optimizer, SnapshotPlace place)
    : state_(std::make_unique<State>()) {
  Device& device = queue.device();
  state_->queue = &queue;
  state_->originals = arenas_of(parameters, optimizer);
  state_->commands = queue.command_buffer("snapshot");
  if (place == SnapshotPlace::device) {
    for (std::size_t i = 0; i < state_->copies.size(); ++i) {
      state_->copies[i] = copy_of(device, state_->originals[i]);
      ops::convert(*state_->commands, state_->originals[i], state_->copies[i]);
    }
    return;
  }
  for (std::size_t i = 0; i < state_->host.size(); ++i) {
    state_->host[i] = allocate_host(device, state_->originals[i].buffer.size());
  }
}

Snapshot::~Snapshot() = default;

Ticket Snapshot::take(CompletedHandler completed) {
  Submission submission;
  for (std::size_t i = 0; i < state_->host.size(); ++i) {
    for (Download& down : downloads_of(state_->originals[i].buffer, state_->host[i])) {
      submission.downloads.push_back(std::move(down));
    }
  }
  submission.completed = std::move(completed);
  return state_->queue->commit(state_->commands, std::move(submission));
}

ReadState Snapshot::read() const {
  if (state_->copies.front()) {
    return read_arenas(state_->queue->device().shared_from_this(), state_->copies);
  }
  return [state = state_.get()](const std::vector<ArenaSlice>& slices, const TakePiece& take) {
    for (const ArenaSlice& slice : slices) {
      read_blocks(state->host[index_of(slice.arena)], slice.offset, slice.bytes, take);
    }
  };
}

std::size_t Snapshot::bytes(const model::Parameters& parameters) {
  return kArenas * parameters.master().buffer.size();
}

}  // namespace cajal::train
