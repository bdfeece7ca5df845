// The state of a run as of one step, held still while training goes on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cajal/command_queue.h"
#include "model/parameters.h"
#include "train/optimizer.h"

namespace cajal::train {

/// The arenas that a checkpoint holds, each [Parameters::size()] f32.
enum class Arena : std::uint8_t { weights, first_moments, second_moments };
inline constexpr int kArenas = 3;
using StateArenas = std::array<Tensor, kArenas>;
StateArenas arenas_of(const model::Parameters& parameters, const Optimizer& optimizer);

/// Part of an arena, in bytes.
struct ArenaSlice {
  Arena arena = Arena::weights;
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

/// Hands the slices' contents to `take`, in order, in one piece or more each; a piece is valid
/// during its call.
using TakePiece = std::function<void(std::span<const std::byte> bytes)>;
using ReadState = std::function<void(const std::vector<ArenaSlice>& slices, const TakePiece& take)>;

/// Reads the arenas themselves, which no work may change meanwhile. For one thread at a time; may
/// wait (checkpoint) for copies of its own, and throws Error when the device failed.
ReadState read_arenas(std::shared_ptr<Device> device, StateArenas arenas);

/// One reader a thread.
using OpenState = std::function<ReadState()>;

enum class SnapshotPlace : std::uint8_t {
  device,  ///< Beside the originals. The copy takes a tenth of an update's time.
  host,    ///< In host memory, where the device has no room: the device copies over its bus before
           ///< it goes on.
};

/// A second set of arenas, and the work that copies the state into it. Queued behind a step, the
/// copies are device work like any other: the next step's update, which writes what they read,
/// comes behind them by the queue's order, and the host waits for nothing.
class Snapshot {
 public:
  /// Allocates the second set, bytes() of memory. Throws Error when there is no room.
  Snapshot(CommandQueue& queue, const model::Parameters& parameters, const Optimizer& optimizer,
           SnapshotPlace place);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  /// Queues the copies behind what is queued already. `completed` runs on the handler thread; from
  /// then on read() gives the state as of that place, until the next call. The caller sees to it
  /// that whoever reads has ended before that.
  Ticket take(CompletedHandler completed);

  /// From any thread.
  ReadState read() const;

  static std::size_t bytes(const model::Parameters& parameters);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cajal::train
