#include "runtime/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "cajal/error.h"
#include "runtime/byte_ranges.h"
#include "runtime/storage.h"

namespace cajal {
namespace {

constexpr std::size_t kPlaceAlignment = 64;

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
}

bool to_be_planned(const Buffer& buffer) { return buffer.storage()->planned(); }

/// The place that another plan chose is free only in the recordings which that plan knew.
void require_unplanned(const Command& command, const CommandBuffer& recorded) {
  for (const BufferUse& use : command.uses) {
    if (!to_be_planned(use.buffer) || !use.buffer.storage()->bound()) continue;
    throw Error(fmt::format("'{}' of '{}' uses buffer '{}', which another memory plan has placed",
                            command.operation, recorded.label(), use.buffer.label()),
                "give all recordings that share it to one plan");
  }
}

/// What each buffer holds while one command buffer runs. Other work has used its place since, so it
/// starts with nothing.
class Contents {
 public:
  explicit Contents(const CommandBuffer& recorded) : recorded_(recorded) {}

  void run(const Command& command) {
    for (const BufferUse& use : command.uses) {
      if (use.access != Access::write) require_written(command, use.buffer);
    }
    for (const BufferUse& use : command.uses) {
      if (use.access == Access::read || !to_be_planned(use.buffer)) continue;
      const std::size_t begin = use.buffer.offset();
      written_[use.buffer.storage().get()].add(begin, begin + use.buffer.size());
    }
  }

 private:
  void require_written(const Command& command, const Buffer& buffer) {
    if (!to_be_planned(buffer)) return;
    const std::size_t begin = buffer.offset();
    if (written_[buffer.storage().get()].cover(begin, begin + buffer.size())) return;
    throw Error(fmt::format("'{}' of '{}' reads buffer '{}' before anything writes it",
                            command.operation, recorded_.label(), buffer.label()),
                "write it in the same command buffer, or allocate it instead of reserving it");
  }

  const CommandBuffer& recorded_;
  std::unordered_map<const Storage*, ByteRanges> written_;
};

/// A taken part of the arena.
struct Block {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::size_t linger_of(const std::vector<std::shared_ptr<CommandBuffer>>& recorded) {
  return recorded.empty()
             ? 0
             : static_cast<std::size_t>(recorded.front()->device().info().overlapping_commands);
}

/// The start of the tightest gap between the blocks that holds `bytes`, or the end of them all.
std::size_t best_fit(std::vector<Block> taken, std::size_t bytes) {
  std::sort(taken.begin(), taken.end(), [](auto& a, auto& b) { return a.begin < b.begin; });
  std::size_t free_from = 0;
  std::size_t best = 0;
  std::size_t best_gap = std::numeric_limits<std::size_t>::max();
  for (const Block& block : taken) {
    if (block.begin > free_from) {
      const std::size_t gap = block.begin - free_from;
      if (gap >= bytes && gap < best_gap) {
        best_gap = gap;
        best = free_from;
      }
    }
    free_from = std::max(free_from, block.end);
  }
  return best_gap == std::numeric_limits<std::size_t>::max() ? free_from : best;
}

}  // namespace

MemoryPlan::MemoryPlan(const std::vector<std::shared_ptr<CommandBuffer>>& recorded)
    : placements_(find_lifetimes(recorded)), linger_(linger_of(recorded)) {
  for (const auto& commands : recorded) {
    recordings_.push_back({commands, commands->commands().size()});
  }
  place_all();
}

std::vector<MemoryPlan::Placement> MemoryPlan::find_lifetimes(
    const std::vector<std::shared_ptr<CommandBuffer>>& recorded) {
  std::vector<Placement> placements;
  std::unordered_map<const Storage*, std::size_t> index;
  const auto use_at = [&](const Buffer& buffer, std::size_t which, std::size_t command) {
    const auto [found, fresh] = index.try_emplace(buffer.storage().get(), placements.size());
    if (fresh) placements.push_back({buffer.storage(), {}, 0});
    auto& lives = placements[found->second].lives;
    if (lives.empty() || lives.back().command_buffer != which) {
      lives.push_back({which, command, command});
    }
    lives.back().last = command;
  };
  for (std::size_t which = 0; which < recorded.size(); ++which) {
    Contents contents(*recorded[which]);
    const std::vector<Command>& commands = recorded[which]->commands();
    for (std::size_t i = 0; i < commands.size(); ++i) {
      require_unplanned(commands[i], *recorded[which]);
      contents.run(commands[i]);
      for (const BufferUse& use : commands[i].uses) {
        if (to_be_planned(use.buffer)) use_at(use.buffer, which, i);
      }
    }
  }
  return placements;
}

bool MemoryPlan::alive_together(const Placement& a, const Placement& b) const {
  auto mine = a.lives.begin();
  auto theirs = b.lives.begin();
  while (mine != a.lives.end() && theirs != b.lives.end()) {
    if (mine->command_buffer == theirs->command_buffer) {
      if (mine->first <= theirs->last + linger_ && theirs->first <= mine->last + linger_) {
        return true;
      }
      ++mine;
      ++theirs;
    } else if (mine->command_buffer < theirs->command_buffer) {
      ++mine;
    } else {
      ++theirs;
    }
  }
  return false;
}

/// Greedy by size: the largest first, each into the tightest gap that those alive with it leave
/// (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
void MemoryPlan::place_all() {
  std::vector<std::size_t> order(placements_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return placements_[a].storage->size() > placements_[b].storage->size();
  });
  for (auto next = order.begin(); next != order.end(); ++next) {
    Placement& placement = placements_[*next];
    std::vector<Block> taken;
    for (auto placed = order.begin(); placed != next; ++placed) {
      const Placement& other = placements_[*placed];
      if (!alive_together(placement, other)) continue;
      taken.push_back({other.offset, other.offset + aligned(other.storage->size())});
    }
    const std::size_t bytes = aligned(placement.storage->size());
    placement.offset = best_fit(std::move(taken), bytes);
    arena_bytes_ = std::max(arena_bytes_, placement.offset + bytes);
    total_bytes_ += bytes;
  }
}

std::string MemoryPlan::describe() const {
  std::string text = fmt::format("{} buffers of {} bytes share an arena of {} bytes\n",
                                 placements_.size(), total_bytes_, arena_bytes_);
  auto out = std::back_inserter(text);
  for (const Placement& placement : placements_) {
    fmt::format_to(out, "  {:<32} {:>12} bytes at {:>12}", placement.storage->label(),
                   placement.storage->size(), placement.offset);
    for (const Lifetime& life : placement.lives) {
      fmt::format_to(out, "  [{}: {}-{}]", life.command_buffer, life.first, life.last);
    }
    text += '\n';
  }
  return text;
}

void MemoryPlan::bind(Device& device) {
  if (bound_) throw Error("a memory plan is bound twice");
  for (const auto& [commands, count] : recordings_) {
    if (commands->commands().size() == count) continue;
    throw Error(fmt::format("'{}' was recorded further after it was planned", commands->label()),
                "plan when everything is recorded");
  }
  const Buffer arena = device.allocate(arena_bytes_, "planned arena");
  for (const Placement& placement : placements_) {
    placement.storage->bind(*arena.storage(), placement.offset);
  }
  for (const auto& [commands, count] : recordings_) commands->planned_commands_ = count;
  recordings_.clear();
  bound_ = true;
}

}  // namespace cajal
