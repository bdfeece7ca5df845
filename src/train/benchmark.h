// Times full training steps on random tokens, as bench/torch_gpt.py does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cajal/command_queue.h"
#include "cajal/dtype.h"

namespace cajal::train {

struct BenchmarkOptions {
  std::string preset = "cajal-20m";
  std::int64_t batch = 1;
  std::int64_t seq = 0;  ///< 0: the preset's.
  std::int64_t accumulate = 1;
  std::int64_t steps = 3;  ///< A block.
  std::int64_t blocks = 5;
  std::int64_t profile_steps = 0;  ///< Traced after the blocks, operation by operation.
  std::string device = "cpu";
  std::optional<DType> dtype;  ///< The device's: train/recipe.h.
  SyncMode sync = SyncMode::step;
  int threads = 0;
  int max_in_flight = 2;
  std::uint64_t seed = 1337;
  std::function<void(std::int64_t block, double ms_per_step)> progress;
};

/// What an operation takes of a traced step.
struct OperationTime {
  std::string operation;
  double calls = 0.0;  ///< A step.
  double ms = 0.0;     ///< A step, on the device.
};

/// Where a step's time goes. While traced, operations run one after the other and each is launched
/// by the host, so that a GPU takes longer for such a step than for a timed one.
struct Profile {
  double ms_per_step = 0.0;
  std::vector<OperationTime> operations;  ///< The longest first.
};

struct BenchmarkResult {
  std::string preset;
  std::int64_t batch = 0;
  std::int64_t seq = 0;
  std::string device;  ///< The processor's own name.
  DType dtype = DType::f32;
  SyncMode sync = SyncMode::step;
  int threads = 0;
  std::int64_t parameters = 0;  ///< With position embeddings; the head is tied and counts once.
  double ms_per_step = 0.0;     ///< Median of the blocks.
  double ms_min = 0.0;
  double ms_max = 0.0;
  double tokens_per_s = 0.0;
  double tflops = 0.0;        ///< (6 N + 12 L d T) FLOP a token, N without position embeddings.
  std::optional<double> mfu;  ///< Of Device::peak_flops; absent where that is unknown.
  double device_busy = 0.0;
  double host_waits_per_step = 0.0;
  double host_blocked_ms_per_step = 0.0;
  std::size_t peak_bytes = 0;  ///< Device memory; on a CPU the process's peak resident size.
  double first_loss = 0.0;
  double last_loss = 0.0;
  std::optional<Profile> profile;
};

BenchmarkResult benchmark(const BenchmarkOptions& options);

}  // namespace cajal::train
