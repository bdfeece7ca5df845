#include "train/checkpoint_verdict.h"

#include <fmt/format.h>

#include <cmath>

namespace cajal::train {

std::optional<std::string> why_not_keep(const StateHealth& health) {
  constexpr double kSpareNats = 1.0;
  if (health.skipped_in_row > 0) {
    return fmt::format("the last {} updates were skipped, because their gradient was not finite",
                       health.skipped_in_row);
  }
  if (2 * health.skipped_lately > health.steps_lately) {
    return fmt::format(
        "{} of the last {} updates were skipped, because their gradient was not finite",
        health.skipped_lately, health.steps_lately);
  }
  if (!std::isfinite(health.loss)) return "its loss is not finite";
  if (!std::isfinite(health.validation_loss)) return "its validation loss is not finite";
  const double guess = std::log(static_cast<double>(health.vocab));
  if (health.loss > guess + kSpareNats) {
    return fmt::format("its loss is {:.4g}, where guessing has {:.4g}", health.loss, guess);
  }
  return std::nullopt;
}

}  // namespace cajal::train
