// Text from a trained run.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "cajal/timeline.h"
#include "ops/sampling/sampling.h"

namespace cajal::train {

struct GenerateOptions {
  std::filesystem::path
      directory;  ///< A run directory, or any folder with config.json and its companions.
  std::string prompt;
  std::int64_t max_tokens = 200;
  ops::SamplingOptions sampling{};
  std::uint64_t seed = 1337;
  std::string device = "cpu";
  int threads = 0;
};

struct GenerateSummary {
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;
  double prompt_seconds = 0.0;
  double seconds = 0.0;  ///< Of the new tokens.
  std::int64_t host_waits = 0;
  bool end_of_text = false;
  bool context_full = false;  ///< Stopped because the model's longest sequence was reached.
};

/// Receives the text piece by piece as tokens arrive, on the queue's handler thread, never a part
/// of a UTF-8 character (bytes that are no UTF-8 at all come as they are).
using TextSink = std::function<void(std::string_view)>;

/// Decodes with a KV cache. The sampled token stays on the device and feeds the next step, so the
/// host waits only for back pressure, never token by token. Stops at max_tokens, end of text, a
/// full context or `stop`. Throws InvalidArgument for a directory that holds no model, a prompt
/// that is too long, or sampling options out of range.
GenerateSummary generate(const GenerateOptions& options, const TextSink& sink,
                         const std::atomic<bool>& stop);

}  // namespace cajal::train
