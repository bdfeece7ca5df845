// What is fuzzed: one function a reader of outside bytes, run by libFuzzer and, on the seeds, by
// ordinary tests.
#pragma once

#include <array>
#include <string_view>

namespace cajal::fuzz {

/// Each takes any bytes. What the reader accepts must satisfy its contract, or Violation is thrown;
/// what it refuses must be a cajal::Error of one line.
void config_json(std::string_view input);
void manifest(std::string_view input);
void metrics(std::string_view input);
void safetensors(std::string_view input);
void safetensors_index(std::string_view input);
void settings_toml(std::string_view input);
void text_corpus(std::string_view input);
void token_shard(std::string_view input);
void tokenizer_json(std::string_view input);
void trainer_state(std::string_view input);
void words(std::string_view input);

struct Target {
  std::string_view name;  ///< Also that of its folder under corpus/ and of its dictionary.
  void (*run)(std::string_view input);
};

inline constexpr std::array kTargets{
    Target{"config_json", config_json},
    Target{"manifest", manifest},
    Target{"metrics", metrics},
    Target{"safetensors", safetensors},
    Target{"safetensors_index", safetensors_index},
    Target{"settings_toml", settings_toml},
    Target{"text_corpus", text_corpus},
    Target{"token_shard", token_shard},
    Target{"tokenizer_json", tokenizer_json},
    Target{"trainer_state", trainer_state},
    Target{"words", words},
};

}  // namespace cajal::fuzz
