// config.json: refused, or a shape that holds its own rules and comes back the same from its own
// text.
#include "model/gpt_config.h"
#include "support.h"
#include "targets.h"

namespace cajal::fuzz {

void config_json(std::string_view input) {
  accept_or_refuse([&] {
    const auto config = model::parse_config_json(input, "config.json");
    require(config.parameter_count() > 0, "a model has parameters");
    require(config.padded_vocab_size() >= config.vocab_size, "padding adds rows");
    model::GptConfig again;
    try {
      config.validate();
      again = model::parse_config_json(model::to_config_json(config, 0), "again");
    } catch (const Error&) {
      throw Violation("what was accepted is valid");
    }
    require(again == config, "a configuration comes back the same from its own text");
  });
}

}  // namespace cajal::fuzz
