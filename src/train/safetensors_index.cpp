#include "train/safetensors_index.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "cajal/error.h"
#include "train/in_quotes.h"
#include "train/model_directory.h"

namespace cajal::train {
namespace {

using nlohmann::json;

/// Reads while the JSON is parsed and keeps nothing of it but the names.
class Parser {
 public:
  explicit Parser(const std::string& source) : source_(source) {}

  std::map<std::string, std::string> parse(std::string_view text) && {
    const auto take = [this](int depth, json::parse_event_t event, json& parsed) {
      return on_event(depth, event, parsed);
    };
    try {
      const json rest = json::parse(text, take);
    } catch (const json::exception& problem) {
      fail(fmt::format("is no JSON ({})", in_quotes(problem.what())));
    }
    if (!found_) fail("has no \"weight_map\"");
    if (files_.empty()) fail("names no tensor");
    return std::move(files_);
  }

 private:
  using Event = json::parse_event_t;

  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(fmt::format("{} {}", source_, problem), "copy or download it again");
  }

  /// False drops the value from the tree.
  bool on_event(int depth, Event event, const json& parsed) {
    constexpr int kDeepest = 16;
    if (depth > kDeepest) fail("is nested too deep");
    if (depth == 0) {
      if (event != Event::object_start && event != Event::object_end) fail("is no JSON object");
      return true;
    }
    if (depth == 1 && event == Event::key) {
      in_map_ = parsed == "weight_map";
      if (in_map_ && std::exchange(found_, true)) fail("has two \"weight_map\"s");
      return true;
    }
    if (!in_map_) return false;
    return on_map_event(depth, event, parsed);
  }

  bool on_map_event(int depth, Event event, const json& parsed) {
    if (depth == 1) {
      if (event == Event::value || event == Event::array_start) {
        fail("has a \"weight_map\" that is no JSON object");
      }
      return event == Event::object_start;
    }
    if (event == Event::key) {
      tensor_ = parsed.get<std::string>();
      return true;
    }
    if (event != Event::value || !parsed.is_string()) {
      fail(fmt::format("names no file for tensor {}", in_quotes(tensor_)));
    }
    auto file = parsed.get<std::string>();
    ModelDirectory::require_plain_name(file, source_);
    if (!file.ends_with(".safetensors")) {
      fail(fmt::format("names the file {}, which is no .safetensors", in_quotes(file)));
    }
    if (!files_.emplace(tensor_, std::move(file)).second) {
      fail(fmt::format("names tensor {} twice", in_quotes(tensor_)));
    }
    return false;
  }

  const std::string& source_;
  std::map<std::string, std::string> files_;
  bool found_ = false;
  bool in_map_ = false;
  std::string tensor_;
};

}  // namespace

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source) {
  return Parser(source).parse(text);
}

}  // namespace cajal::train
