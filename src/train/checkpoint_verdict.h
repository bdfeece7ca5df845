// Whether a state is worth keeping.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cajal::train {

/// What is known of a state when it has been reached.
struct StateHealth {
  double loss = 0.0;                ///< Of the step that led to it.
  std::int32_t skipped_in_row = 0;  ///< Updates up to it that were skipped for their gradient.
  std::int64_t skipped_lately = 0;  ///< Updates skipped since the checkpoint before,
  std::int64_t steps_lately = 0;    ///< of so many.
  double validation_loss = 0.0;     ///< On held-out text, with these weights.
  std::int64_t vocab = 0;           ///< Tokens that a guess chooses from.
};

/// Why a checkpoint of this state must not take the place of the one before, as the end of a
/// sentence ("its loss is not finite"); nothing when it may. A state is good when its own step was
/// applied with a finite loss no worse than a guess among all tokens (with a nat to spare, for a
/// model that has just begun), most updates since the checkpoint before were applied, and its loss
/// on held-out text is finite. How high that one is says nothing: a model that has learnt a small
/// text by heart may be far over a guess on another.
std::optional<std::string> why_not_keep(const StateHealth& health);

}  // namespace cajal::train
