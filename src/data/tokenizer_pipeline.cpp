#include "data/tokenizer_pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cajal::data {
namespace {

using nlohmann::json;

/// GPT-2's pattern in the notation of Hugging Face's files.
constexpr const char* kPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What `key` holds, null where it is missing.
const json& get(const json& object, const char* key) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

/// The members of a Sequence, or the one part that is none.
std::vector<const json*> parts(const json& part, const char* list) {
  if (part.is_null()) return {};
  if (get(part, "type") != "Sequence" || !get(part, list).is_array()) return {&part};
  std::vector<const json*> members;
  for (const json& member : get(part, list)) members.push_back(&member);
  return members;
}

bool is_gpt2_split(const json& part) {
  const json& invert = get(part, "invert");
  return get(part, "type") == "Split" && get(get(part, "pattern"), "Regex") == kPattern &&
         get(part, "behavior") == "Isolated" && (invert.is_null() || invert == false);
}

std::string pre_tokenizer_problem(const json& pre_tokenizer) {
  const std::string other = "has a pre_tokenizer that is not ByteLevel with GPT-2's pattern";
  auto members = parts(pre_tokenizer, "pretokenizers");
  bool split = false;
  if (members.size() == 2 && is_gpt2_split(*members[0])) {
    split = true;
    members.erase(members.begin());
  }
  if (members.size() != 1 || get(*members[0], "type") != "ByteLevel") return other;
  const json& byte_level = *members[0];
  // Left out, Hugging Face takes add_prefix_space and use_regex for true.
  if (get(byte_level, "add_prefix_space") != false) return "sets \"add_prefix_space\"";
  const json& regex = get(byte_level, "use_regex");
  if (!regex.is_null() && !regex.is_boolean()) return "sets \"use_regex\"";
  // Behind the Split the pattern finds single words, which it leaves whole.
  if (!split && regex == false) return "sets \"use_regex\"";
  return {};
}

}  // namespace

std::string pipeline_problem(const json& root) {
  if (!parts(get(root, "normalizer"), "normalizers").empty()) return "has a normalizer";
  if (auto problem = pre_tokenizer_problem(get(root, "pre_tokenizer")); !problem.empty()) {
    return problem;
  }
  for (const json* part : parts(get(root, "decoder"), "decoders")) {
    if (get(*part, "type") != "ByteLevel") return "has a decoder that is not ByteLevel";
  }
  return {};
}

bool adds_tokens(const json& post_processor) {
  const auto members = parts(post_processor, "processors");
  return std::any_of(members.begin(), members.end(), [](const json* part) {
    if (get(*part, "type") == "ByteLevel") return false;
    const json& single = get(*part, "single");
    const bool only_the_text =
        single.is_array() && single.size() == 1 && get(get(single[0], "Sequence"), "id") == "A";
    return get(*part, "type") != "TemplateProcessing" || !only_the_text;
  });
}

}  // namespace cajal::data
