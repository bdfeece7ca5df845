#include "train/validator.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace cajal::train {

Validator::Validator(EvalStep& step, data::Loader loader, std::int64_t batch, std::int64_t batches)
    : step_(&step) {
  const std::int64_t whole = std::max<std::int64_t>(1, loader.windows() / batch);
  for (std::int64_t i = 0; i < std::min(batches, whole); ++i) batches_.push_back(loader.next());
}

void Validator::evaluate(std::function<void(double)> done) {
  commit(batches_.size(), std::move(done));
}

void Validator::probe(std::function<void(double)> done) { commit(1, std::move(done)); }

void Validator::commit(std::size_t batches, std::function<void(double)> done) {
  const auto sum = std::make_shared<double>(0.0);  // touched by handlers alone, which run in order
  for (std::size_t i = 0; i < batches; ++i) {
    const StepInputs inputs = step_->inputs();
    std::copy(batches_[i].tokens.begin(), batches_[i].tokens.end(), inputs.tokens().begin());
    std::copy(batches_[i].targets.begin(), batches_[i].targets.end(), inputs.targets().begin());
    const bool last = i + 1 == batches;
    step_->eval_step(inputs, [sum, last, done, count = batches](float loss) {
      *sum += loss;
      if (last) done(*sum / static_cast<double>(count));
    });
  }
}

}  // namespace cajal::train
