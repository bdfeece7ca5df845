// What the commands drive. The program passes the real engine; tests pass one that they script.
#pragma once

#include <functional>

#include "train/benchmark.h"
#include "train/generate.h"
#include "train/trainer.h"

namespace cajal::cli {

struct Engine {
  std::function<train::TrainSummary(const train::TrainOptions&, train::TrainObserver&,
                                    const std::atomic<bool>& stop)>
      train;
  std::function<train::GenerateSummary(const train::GenerateOptions&, const train::TextSink&,
                                       const std::atomic<bool>& stop)>
      generate;
  std::function<train::BenchmarkResult(const train::BenchmarkOptions&)> benchmark;
};

}  // namespace cajal::cli
