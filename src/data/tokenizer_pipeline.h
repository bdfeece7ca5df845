// What tokenizer.json puts before and behind the BPE model.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace cajal::data {

/// What stops these parts of a tokenizer.json from being read: the words that go behind the file's
/// name in an error, such as "has a normalizer"; empty where they are GPT-2's, however written:
/// ByteLevel with its own pattern or behind a Split by it, alone or in a Sequence.
std::string pipeline_problem(const nlohmann::json& root);

/// Whether the post_processor puts tokens around every text.
bool adds_tokens(const nlohmann::json& post_processor);

}  // namespace cajal::data
