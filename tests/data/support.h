// What the tests of the data component share.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace cajal::data::test {

/// A directory that goes with its owner.
class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_(std::filesystem::temp_directory_path() / fmt::format("cajal-data-test-{:08x}{:08x}",
                                                                   std::random_device{}(),
                                                                   std::random_device{}())) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out) throw std::runtime_error("cannot write " + path.string());
  return path;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A fresh seed every run, printed so that a failure can be had again.
class Random {
 public:
  Random() : seed_(std::random_device{}()), engine_(seed_) { fmt::print("seed {}\n", seed_); }

  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(engine_);
  }

  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  std::string bytes(std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(below(256));
    return text;
  }

  /// Text of the kinds at whose borders words begin and end.
  std::string text(std::size_t pieces) {
    static const std::vector<std::string> kPieces = {
        "a",  "the",  "Zed", "s",  "'",  "'s", "'re", "'ll", " ",  " ",      "  ",     "\n",
        "\t", "\r",   "1",   "42", "!",  "::", "_",   "é",   "ß",  "日",     "٣",      "\u00a0",
        "½",  "🙂", "—",   "е́",  "\v", "x",  "\f",  "{",   "\0", "\u3000", "\u0301", "return"};
    std::string result;
    for (std::size_t i = 0; i < pieces; ++i) result += pick(kPieces);
    return result;
  }

 private:
  std::uint32_t seed_;
  std::mt19937 engine_;
};

}  // namespace cajal::data::test
