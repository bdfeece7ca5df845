// Writes tokenizer.json.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "data/byte_alphabet.h"
#include "data/tokenizer_json.h"

namespace cajal::data {
namespace {

using nlohmann::ordered_json;

ordered_json added_tokens(const BpeVocabulary& vocabulary) {
  ordered_json added = ordered_json::array();
  for (const AddedToken& token : vocabulary.added) {
    added.push_back({{"id", token.id},
                     {"content", token.text},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  return added;
}

ordered_json bpe_model(const BpeVocabulary& vocabulary) {
  std::unordered_map<TokenId, const AddedToken*> added;
  for (const AddedToken& token : vocabulary.added) added.emplace(token.id, &token);
  const auto spelling = [&](TokenId id) {
    const auto found = added.find(id);
    if (found != added.end()) return found->second->text;
    const std::string& bytes = vocabulary.tokens[static_cast<std::size_t>(id)];
    return vocabulary.verbatim.contains(id) ? bytes : spell(bytes);
  };
  // Appended, not inserted: an ordered object looks every key up from its beginning.
  ordered_json::object_t tokens;
  for (std::size_t place = 0; place < vocabulary.tokens.size(); ++place) {
    const auto id = static_cast<TokenId>(place);
    const auto found = added.find(id);
    if (found != added.end() ? !found->second->in_vocabulary : vocabulary.tokens[place].empty()) {
      continue;
    }
    tokens.Container::emplace_back(spelling(id), id);
  }
  // The older notation, which every release reads, unless a token has a space of its own.
  const bool spaced =
      std::any_of(vocabulary.merges.begin(), vocabulary.merges.end(), [&](const Merge& merge) {
        return (spelling(merge.left) + spelling(merge.right)).find(' ') != std::string::npos;
      });
  ordered_json merges = ordered_json::array();
  for (const Merge& merge : vocabulary.merges) {
    const std::string left = spelling(merge.left);
    const std::string right = spelling(merge.right);
    merges.push_back(spaced ? ordered_json{left, right} : ordered_json(left + " " + right));
  }
  const ordered_json unk =
      vocabulary.unk_token.empty() ? ordered_json() : ordered_json(vocabulary.unk_token);
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unk},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", vocabulary.fuse_unk},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(tokens)},
          {"merges", std::move(merges)}};
}

}  // namespace

std::string format_tokenizer_json(const BpeVocabulary& vocabulary) {
  const ordered_json byte_level = {{"type", "ByteLevel"},
                                   {"add_prefix_space", false},
                                   {"trim_offsets", true},
                                   {"use_regex", true}};
  const ordered_json post_processor = vocabulary.post_processor.empty()
                                          ? ordered_json()
                                          : ordered_json::parse(vocabulary.post_processor);
  const ordered_json root = {{"version", "1.0"},
                             {"truncation", nullptr},
                             {"padding", nullptr},
                             {"added_tokens", added_tokens(vocabulary)},
                             {"normalizer", nullptr},
                             {"pre_tokenizer", byte_level},
                             {"post_processor", post_processor},
                             {"decoder", byte_level},
                             {"model", bpe_model(vocabulary)}};
  return root.dump(2) + "\n";
}

}  // namespace cajal::data
