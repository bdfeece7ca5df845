// The weights of a GPT-2 in a folder: one safetensors file, or shards that an index names.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "model/gpt_config.h"
#include "model/parameters.h"
#include "train/model_directory.h"
#include "train/safetensors.h"

namespace cajal::train {

inline constexpr const char* kModelFile = "model.safetensors";
inline constexpr const char* kModelIndexFile = "model.safetensors.index.json";

/// All headers are read and checked by the constructor, tensors by read().
class ModelWeights {
 public:
  /// Throws InvalidArgument where there are no weights (and names what there is instead), Error
  /// where they are not whole, or not those of a model of this configuration.
  ModelWeights(const ModelDirectory& directory, const model::GptConfig& config);

  /// Values of a parameter from its element `first` on. Throws Error when one is not finite, or the
  /// file is cut off meanwhile.
  void read(const model::Parameter& parameter, std::uint64_t first, std::span<float> values) const;

  /// One line for the tensors that were passed over, if any but GPT-2's masks were.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct Place {
    const SafetensorsFile* file = nullptr;
    const StoredTensor* tensor = nullptr;
  };

  void open_file(const ModelDirectory& directory, const std::string& name);
  void open_shards(const ModelDirectory& directory);
  void place(const model::ParameterSpec& spec);
  void check_rest(const std::unordered_set<std::string>& used);
  void require_tied_head(const Place& head) const;

  std::string source_;  ///< The file, or the index, for errors.
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Place> stored_;             ///< By the name in the file.
  std::unordered_map<std::string, Place> weights_;  ///< By the parameter's name.
  std::vector<std::string> warnings_;
};

}  // namespace cajal::train
