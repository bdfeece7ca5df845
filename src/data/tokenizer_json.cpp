#include "data/tokenizer_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cajal/error.h"
#include "data/byte_alphabet.h"

namespace cajal::data {
namespace {

using nlohmann::json;

class Parser {
 public:
  Parser(std::string_view text, std::string_view name) : name_(name) {
    try {
      root_ = json::parse(text);
    } catch (const json::parse_error& error) {
      fail(fmt::format("is not JSON (at byte {})", error.byte));
    } catch (const json::exception&) {
      fail("is not JSON");
    }
  }

  BpeVocabulary parse() {
    check_pipeline();
    const json& model = check_model();
    read_vocabulary(model);
    read_special_tokens();
    spell_tokens();
    read_merges(model);
    read_bytes();
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("{} {}", name_, what), "only byte-level BPE as GPT-2's is read");
  }

  /// What `key` holds, null where it is missing.
  static const json& get(const json& object, const char* key) {
    static const json kNull;
    if (!object.is_object()) return kNull;
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
  }

  const json& require(const json& object, const char* key, json::value_t type) const {
    const json& value = get(object, key);
    if (value.type() != type) {
      fail(fmt::format("has no \"{}\" of type {}", key, json(type).type_name()));
    }
    return value;
  }

  /// Settings that change encodings must be absent, null or at the value that changes nothing.
  void refuse_unless(const json& object, const char* key, const json& harmless) const {
    const json& value = get(object, key);
    if (!value.is_null() && value != harmless) fail(fmt::format("sets \"{}\"", key));
  }

  void check_pipeline() const {
    if (!root_.is_object()) fail("is not a JSON object");
    if (!get(root_, "normalizer").is_null()) fail("has a normalizer");
    const json& splitter = get(root_, "pre_tokenizer");
    if (get(splitter, "type") != "ByteLevel") fail("has a pre_tokenizer that is not ByteLevel");
    // Left out, Hugging Face takes add_prefix_space for true.
    if (get(splitter, "add_prefix_space") != false) fail("sets \"add_prefix_space\"");
    refuse_unless(splitter, "use_regex", true);
    const json& decoder = get(root_, "decoder");
    if (!decoder.is_null() && get(decoder, "type") != "ByteLevel") {
      fail("has a decoder that is not ByteLevel");
    }
  }

  const json& check_model() const {
    const json& model = get(root_, "model");
    if (!model.is_object()) fail("has no \"model\"");
    refuse_unless(model, "type", "BPE");
    refuse_unless(model, "dropout", 0.0);
    refuse_unless(model, "continuing_subword_prefix", "");
    refuse_unless(model, "end_of_word_suffix", "");
    refuse_unless(model, "byte_fallback", false);
    refuse_unless(model, "ignore_merges", false);
    return model;
  }

  TokenId read_id(const json& value, std::string_view token) const {
    constexpr std::int64_t kMostTokens = 1 << 24;
    if (!value.is_number_integer())
      fail(fmt::format("gives {} no whole number for an id", quote(token)));
    // An unsigned value above the signed range reads as negative here, and is refused like one.
    const auto id = value.get<std::int64_t>();
    if (id < 0 || id >= kMostTokens) fail(fmt::format("gives {} the id {}", quote(token), id));
    return static_cast<TokenId>(id);
  }

  /// A token within an error's line: the JSON notation has no line ends.
  static std::string quote(std::string_view token) {
    return json(std::string(token.substr(0, 80)))
        .dump(-1, ' ', true, json::error_handler_t::replace);
  }

  void read_vocabulary(const json& model) {
    for (const auto& [token, id] : require(model, "vocab", json::value_t::object).items()) {
      ids_.emplace(token, read_id(id, token));
    }
  }

  void read_special_tokens() {
    const json& added = get(root_, "added_tokens");
    if (added.is_null()) return;
    if (!added.is_array()) fail("has \"added_tokens\" that are not an array");
    for (const json& token : added) {
      const auto& content =
          require(token, "content", json::value_t::string).get_ref<const std::string&>();
      if (content.empty()) fail("has an empty added token");
      for (const char* flag : {"single_word", "lstrip", "rstrip"})
        refuse_unless(token, flag, false);
      const TokenId id = read_id(get(token, "id"), content);
      const auto [place, fresh] = ids_.emplace(content, id);
      if (!fresh && place->second != id) fail(fmt::format("gives {} two ids", quote(content)));
      if (!special_.insert(content).second) fail(fmt::format("adds {} twice", quote(content)));
      result_.specials.push_back({content, id});
    }
  }

  void spell_tokens() {
    result_.tokens.resize(ids_.size());
    std::vector<bool> taken(ids_.size());
    for (const auto& [token, id] : ids_) {
      const auto place = static_cast<std::size_t>(id);
      if (place >= ids_.size()) {
        fail(fmt::format("has {} tokens and gives {} the id {}", ids_.size(), quote(token), id));
      }
      if (taken[place]) fail(fmt::format("gives the id {} twice", id));
      taken[place] = true;
      if (special_.contains(token)) {
        result_.tokens[place] = token;
        continue;
      }
      auto bytes = unspell(token);
      if (!bytes || bytes->empty())
        fail(fmt::format("has the token {}, which spells no bytes", quote(token)));
      result_.tokens[place] = *std::move(bytes);
    }
  }

  TokenId id_of(const std::string& token, std::size_t merge) const {
    const auto found = ids_.find(token);
    if (found == ids_.end()) {
      fail(fmt::format("has no token {}, which merge {} needs", quote(token), merge));
    }
    return found->second;
  }

  /// Both notations: "a b" and ["a", "b"].
  std::pair<std::string, std::string> halves(const json& merge, std::size_t index) const {
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
        return {text.substr(0, space), text.substr(space + 1)};
      }
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    }
    fail(fmt::format("has a merge {} that is not a pair of tokens", index));
  }

  void read_merges(const json& model) {
    const json& merges = require(model, "merges", json::value_t::array);
    std::unordered_set<std::uint64_t> seen;
    for (std::size_t i = 0; i < merges.size(); ++i) {
      const auto [left, right] = halves(merges[i], i);
      const Merge merge{id_of(left, i), id_of(right, i), id_of(left + right, i)};
      const auto pair = std::uint64_t{static_cast<std::uint32_t>(merge.left)} << 32 |
                        static_cast<std::uint32_t>(merge.right);
      if (!seen.insert(pair).second) fail(fmt::format("has merge {} twice", i));
      result_.merges.push_back(merge);
    }
  }

  void read_bytes() {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto found = ids_.find(spell(std::string(1, static_cast<char>(byte))));
      if (found == ids_.end()) fail(fmt::format("has no token for the byte {:#04x}", byte));
      result_.byte_ids[byte] = found->second;
    }
  }

  std::string name_;
  json root_;
  BpeVocabulary result_;
  std::unordered_map<std::string, TokenId> ids_;
  std::unordered_set<std::string> special_;
};

}  // namespace

BpeVocabulary parse_tokenizer_json(std::string_view text, std::string_view name) {
  return Parser(text, name).parse();
}

std::string format_tokenizer_json(const BpeVocabulary& vocabulary) {
  using nlohmann::ordered_json;
  ordered_json added = ordered_json::array();
  std::unordered_set<TokenId> special;
  for (const SpecialToken& token : vocabulary.specials) {
    special.insert(token.id);
    added.push_back({{"id", token.id},
                     {"content", token.text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const auto spelling = [&](TokenId id) {
    const std::string& bytes = vocabulary.tokens[static_cast<std::size_t>(id)];
    return special.contains(id) ? bytes : spell(bytes);
  };
  // Appended, not inserted: an ordered object looks every key up from its beginning.
  ordered_json::object_t vocab;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    vocab.Container::emplace_back(spelling(static_cast<TokenId>(id)), id);
  }
  ordered_json merges = ordered_json::array();
  for (const Merge& merge : vocabulary.merges) {
    merges.push_back(spelling(merge.left) + " " + spelling(merge.right));
  }
  const ordered_json byte_level = {{"type", "ByteLevel"},
                                   {"add_prefix_space", false},
                                   {"trim_offsets", true},
                                   {"use_regex", true}};
  const ordered_json root = {{"version", "1.0"},
                             {"truncation", nullptr},
                             {"padding", nullptr},
                             {"added_tokens", added},
                             {"normalizer", nullptr},
                             {"pre_tokenizer", byte_level},
                             {"post_processor", nullptr},
                             {"decoder", byte_level},
                             {"model",
                              {{"type", "BPE"},
                               {"dropout", nullptr},
                               {"unk_token", nullptr},
                               {"continuing_subword_prefix", nullptr},
                               {"end_of_word_suffix", nullptr},
                               {"fuse_unk", false},
                               {"byte_fallback", false},
                               {"ignore_merges", false},
                               {"vocab", std::move(vocab)},
                               {"merges", std::move(merges)}}}};
  return root.dump(2) + "\n";
}

}  // namespace cajal::data
