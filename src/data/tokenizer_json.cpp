#include "data/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cajal/error.h"
#include "data/byte_alphabet.h"
#include "data/tokenizer_pipeline.h"

namespace cajal::data {
namespace {

using nlohmann::json;

constexpr std::size_t kDeepest = 64;
// Ids without tokens cost memory, so a short file may not name a high one.
constexpr std::size_t kFewIds = 65536;
constexpr std::size_t kMostIdsPerToken = 4;

/// How deep brackets are nested outside strings. The parser itself would go as deep as the text,
/// and so would all that walks over its result.
std::size_t json_depth(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view name) : name_(name) {
    if (json_depth(text) > kDeepest) fail("is nested too deep for a tokenizer.json");
    try {
      root_ = json::parse(text);
    } catch (const json::parse_error& error) {
      fail(fmt::format("is not JSON (at byte {})", error.byte));
    } catch (const json::exception&) {
      fail("is not JSON");
    }
  }

  BpeVocabulary parse() {
    if (!root_.is_object()) fail("is not a JSON object");
    if (const std::string problem = pipeline_problem(root_); !problem.empty()) fail(problem);
    const json& model = check_model();
    read_vocabulary(model);
    read_added_tokens();
    spell_tokens();
    read_merges(model);
    spell_added_tokens();
    read_bytes();
    read_unknown(model);
    read_post_processor();
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("{} {}", name_, what), "only byte-level BPE as GPT-2's is read");
  }

  void warn(std::string_view what) {
    result_.warnings.push_back(fmt::format("{} {}", name_, what));
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

  /// A switch that may be missing.
  bool flag(const json& object, const char* key, bool missing = false) const {
    const json& value = get(object, key);
    if (value.is_null()) return missing;
    if (!value.is_boolean()) fail(fmt::format("has a \"{}\" that is neither true nor false", key));
    return value.get<bool>();
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
    if (!value.is_number_integer())
      fail(fmt::format("gives {} no whole number for an id", quote(token)));
    // An unsigned value above the signed range reads as negative here, and is refused like one.
    const auto id = value.get<std::int64_t>();
    if (id < 0 || id > std::numeric_limits<TokenId>::max()) {
      fail(fmt::format("gives {} the id {}", quote(token), id));
    }
    return static_cast<TokenId>(id);
  }

  /// A token within an error's line: the JSON notation has no line ends.
  static std::string quote(std::string_view token) {
    return json(std::string(token.substr(0, 80)))
        .dump(-1, ' ', true, json::error_handler_t::replace);
  }

  void read_vocabulary(const json& model) {
    const json& vocabulary = require(model, "vocab", json::value_t::object);
    const std::size_t most = std::max(kFewIds, kMostIdsPerToken * vocabulary.size());
    for (const auto& [token, value] : vocabulary.items()) {
      const TokenId id = read_id(value, token);
      if (static_cast<std::size_t>(id) >= most) {
        fail(fmt::format("has {} tokens and gives {} the id {}", vocabulary.size(), quote(token),
                         id));
      }
      ids_.emplace(token, id);
    }
  }

  /// Hugging Face takes a token's id from the vocabulary, and where it is not there numbers it on
  /// from the vocabulary's end or the highest added token: the id written beside it does not count.
  TokenId added_id(const std::string& content, TokenId highest) const {
    const auto known = ids_.find(content);
    if (known != ids_.end()) return known->second;
    const auto earlier = added_places_.find(content);
    if (earlier != added_places_.end()) return result_.added[earlier->second].id;
    const auto size = static_cast<TokenId>(vocabulary_size_);
    return std::max(size, highest + 1);
  }

  void read_added_tokens() {
    vocabulary_size_ = ids_.size();
    const json& list = get(root_, "added_tokens");
    if (list.is_null()) return;
    if (!list.is_array()) fail("has \"added_tokens\" that are not an array");
    TokenId highest = -1;
    std::string moved;
    for (const json& item : list) {
      AddedToken token;
      token.text = require(item, "content", json::value_t::string).get_ref<const std::string&>();
      const TokenId written = read_id(get(item, "id"), token.text);
      if (token.text.empty()) continue;
      token.single_word = flag(item, "single_word");
      token.lstrip = flag(item, "lstrip");
      token.rstrip = flag(item, "rstrip");
      token.special = flag(item, "special");
      token.normalized = flag(item, "normalized", !token.special);
      token.id = added_id(token.text, highest);
      token.in_vocabulary = ids_.contains(token.text);
      highest = std::max(highest, token.id);
      if (token.id != written && moved.empty()) {
        moved = fmt::format("gives {} the id {}; it is {}, as in Hugging Face's tokenizers",
                            quote(token.text), written, token.id);
      }
      keep_added(std::move(token));
    }
    if (!moved.empty()) warn(moved);
  }

  /// Of two with one text the later counts, but what was special stays so.
  void keep_added(AddedToken token) {
    const auto [place, fresh] = added_places_.emplace(token.text, result_.added.size());
    if (fresh) {
      result_.added.push_back(std::move(token));
      return;
    }
    AddedToken& earlier = result_.added[place->second];
    token.special = token.special || earlier.special;
    earlier = std::move(token);
  }

  void spell_tokens() {
    std::size_t size = 0;
    const auto reach = [&](TokenId id) { size = std::max(size, static_cast<std::size_t>(id) + 1); };
    for (const auto& [token, id] : ids_) reach(id);
    for (const AddedToken& token : result_.added) reach(token.id);
    result_.tokens.resize(size);
    for (const auto& [token, id] : ids_) {
      if (token.empty()) fail("has an empty token");
      auto bytes = unspell(token);
      if (!bytes) result_.verbatim.insert(id);
      std::string& place = result_.tokens[static_cast<std::size_t>(id)];
      if (!place.empty()) fail(fmt::format("gives the id {} twice", id));
      place = bytes ? *std::move(bytes) : token;
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
      made_by_merges_.insert(merge.result);
    }
  }

  /// An added token reads as it is written, but for one that text is also encoded to byte by byte.
  void spell_added_tokens() {
    for (const AddedToken& token : result_.added) {
      std::string& bytes = result_.tokens[static_cast<std::size_t>(token.id)];
      if (!token.in_vocabulary && !bytes.empty())
        fail(fmt::format("gives the id {} twice", token.id));
      const bool is_text = bytes.size() == 1 || made_by_merges_.contains(token.id);
      if (!token.in_vocabulary || !is_text) bytes = token.text;
    }
  }

  void read_bytes() {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto found = ids_.find(spell(std::string(1, static_cast<char>(byte))));
      result_.byte_ids[byte] = found == ids_.end() ? kNoToken : found->second;
    }
  }

  void read_unknown(const json& model) {
    const json& unknown = get(model, "unk_token");
    if (!unknown.is_null()) {
      result_.unk_token = require(model, "unk_token", json::value_t::string).get<std::string>();
    }
    result_.fuse_unk = flag(model, "fuse_unk");
    const auto found = ids_.find(result_.unk_token);
    if (found != ids_.end()) result_.unk = found->second;
    const auto missing =
        std::count(result_.byte_ids.begin(), result_.byte_ids.end(), TokenId{kNoToken});
    if (missing == 0) return;
    if (missing == 256) fail("has no token for any byte");
    if (result_.unk) {
      warn(fmt::format("has no tokens for {} of the 256 bytes; in the text they become {}", missing,
                       quote(result_.unk_token)));
    } else if (!unknown.is_null()) {
      fail(fmt::format("has no tokens for {} of the 256 bytes, nor its unk_token {}", missing,
                       quote(result_.unk_token)));
    } else {
      warn(fmt::format("has no tokens for {} of the 256 bytes; they are left out of the text",
                       missing));
    }
  }

  void read_post_processor() {
    const json& processor = get(root_, "post_processor");
    if (processor.is_null()) return;
    result_.post_processor = processor.dump(-1, ' ', true, json::error_handler_t::replace);
    if (adds_tokens(processor)) {
      warn("has a post_processor that puts tokens around every text; they are not added here");
    }
  }

  std::string name_;
  json root_;
  BpeVocabulary result_;
  std::unordered_map<std::string, TokenId> ids_;  ///< The model's own vocabulary.
  std::size_t vocabulary_size_ = 0;
  std::unordered_map<std::string, std::size_t> added_places_;
  std::unordered_set<TokenId> made_by_merges_;
};

}  // namespace

BpeVocabulary parse_tokenizer_json(std::string_view text, std::string_view name) {
  return Parser(text, name).parse();
}

}  // namespace cajal::data
