// What the timing of matrix products has found, kept on disk from run to run.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cajal::ops {

/// How one product is computed best: with which epilogue fused, by which of the library's
/// algorithms.
struct ProductChoice {
  std::string variant;
  std::vector<unsigned char> algorithm;  ///< The library's own bytes.
};

/// Choices by product, for one kind of card and one version of the library. Runs that read the same
/// file compute the same bits, so the first finding stands until the file is removed.
class AlgorithmCache {
 public:
  /// Of `$XDG_CACHE_HOME/cajal`, or `~/.cache/cajal`; of memory alone where there is neither.
  static std::filesystem::path default_folder();

  /// `identity` names card and library. A file that cannot be read, or holds something else, counts
  /// as empty.
  AlgorithmCache(const std::filesystem::path& folder, std::string_view identity);

  std::optional<ProductChoice> find(const std::string& product) const;

  /// Keeps the choice, unless another process has written one meanwhile, and writes the file, whole
  /// or not at all. A folder that cannot be written only costs the next run its time.
  void add(const std::string& product, ProductChoice choice);

 private:
  void read();
  void write() const;

  std::filesystem::path file_;  ///< Empty: in memory alone.
  std::map<std::string, ProductChoice> choices_;
};

}  // namespace cajal::ops
