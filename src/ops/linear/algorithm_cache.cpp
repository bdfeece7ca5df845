#include "ops/linear/algorithm_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

namespace cajal::ops {
namespace {

constexpr int kFormat = 2;

std::string hex(const std::vector<unsigned char>& bytes) {
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::vector<unsigned char> from_hex(const std::string& text) {
  std::vector<unsigned char> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<unsigned char>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string file_name(std::string_view identity) {
  std::string name(identity);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.') c = '-';
  }
  return name + ".json";
}

std::filesystem::path from_environment(const char* variable) {
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing sets it.
  return value != nullptr ? value : "";
}

}  // namespace

std::filesystem::path AlgorithmCache::default_folder() {
  const std::filesystem::path cache = from_environment("XDG_CACHE_HOME");
  if (!cache.empty()) return cache / "cajal";
  const std::filesystem::path home = from_environment("HOME");
  return home.empty() ? home : home / ".cache" / "cajal";
}

AlgorithmCache::AlgorithmCache(const std::filesystem::path& folder, std::string_view identity)
    : file_(folder.empty() ? folder : folder / file_name(identity)) {
  try {
    read();
  } catch (const std::exception&) {
    choices_.clear();
  }
}

std::optional<ProductChoice> AlgorithmCache::find(const std::string& product) const {
  const auto found = choices_.find(product);
  if (found == choices_.end()) return std::nullopt;
  return found->second;
}

void AlgorithmCache::add(const std::string& product, ProductChoice choice) {
  choices_.insert_or_assign(product, std::move(choice));
  try {
    read();  // What another process has found meanwhile stands, for this product too.
    write();
  } catch (const std::exception&) {
    // Kept in memory; the next run measures again.
  }
}

void AlgorithmCache::read() {
  if (file_.empty()) return;
  std::ifstream in(file_);
  if (!in) return;
  const auto json = nlohmann::json::parse(in);
  if (json.at("format").get<int>() != kFormat) return;
  for (const auto& [product, choice] : json.at("products").items()) {
    choices_[product] = {choice.at("variant").get<std::string>(),
                         from_hex(choice.at("algorithm").get<std::string>())};
  }
}

void AlgorithmCache::write() const {
  if (file_.empty()) return;
  nlohmann::json json;
  json["format"] = kFormat;
  for (const auto& [product, choice] : choices_) {
    json["products"][product] = {{"variant", choice.variant}, {"algorithm", hex(choice.algorithm)}};
  }
  std::filesystem::create_directories(file_.parent_path());
  const std::filesystem::path fresh = fmt::format("{}.{}", file_.string(), getpid());
  std::ofstream out(fresh);
  out << json.dump(1) << '\n';
  out.close();
  if (out) {
    std::filesystem::rename(fresh, file_);
  } else {
    std::error_code ignored;
    std::filesystem::remove(fresh, ignored);
  }
}

}  // namespace cajal::ops
