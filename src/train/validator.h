// Held-out loss, queued like any other work.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/loader.h"
#include "train/train_step.h"

namespace cajal::train {

/// Keeps the same held-out batches for the whole run, so that losses compare.
class Validator {
 public:
  /// Takes up to `batches` from the loader, each once.
  Validator(EvalStep& step, data::Loader loader, std::int64_t batch, std::int64_t batches);

  /// Commits the evaluation behind the work that is queued already and returns; nobody waits.
  /// `done` gets the mean loss over all batches on the handler thread.
  void evaluate(std::function<void(double loss)> done);

  /// The same on one batch alone: enough to tell weights that work from weights that do not.
  void probe(std::function<void(double loss)> done);

 private:
  void commit(std::size_t batches, std::function<void(double loss)> done);

  EvalStep* step_;
  std::vector<data::Batch> batches_;
};

}  // namespace cajal::train
