// trainer_state.json and the settings in it: refused, or the same again from their own text.
#include "train/trainer_state.h"

#include <nlohmann/json.hpp>
#include <string>

#include "support.h"
#include "targets.h"
#include "train/settings.h"

namespace cajal::fuzz {
namespace {

void check_settings(const nlohmann::json& options) {
  const train::Settings settings = train::settings_from_json(options);
  const nlohmann::json written = train::to_json(settings);
  require(train::to_json(train::settings_from_json(written)) == written,
          "settings come back the same from their own text");
  const train::Settings resumed = train::resolve_settings({}, &settings);
  require(resumed.shape.batch > 0 && resumed.shape.seq > 0 && resumed.shape.accumulate > 0,
          "a resumed run has a shape");
}

}  // namespace

void trainer_state(std::string_view input) {
  accept_or_refuse([&] {
    const auto state = train::trainer_state_from_json(input, "trainer_state.json");
    const std::string text = train::to_json(state);
    try {
      require(train::to_json(train::trainer_state_from_json(text, "again")) == text,
              "a state comes back the same from its own text");
    } catch (const Error&) {
      throw Violation("what was accepted is accepted again");
    }
    check_settings(state.options);
  });
}

}  // namespace cajal::fuzz
