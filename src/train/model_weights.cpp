#include "train/model_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "cajal/error.h"
#include "model/gpt.h"
#include "train/in_quotes.h"
#include "train/safetensors_index.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestIndex = std::size_t{64} << 20;
constexpr std::string_view kPrefix = "transformer.";
constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kEmbedding = "transformer.wte.weight";
constexpr std::string_view kOtherModel = "is config.json that of another model?";

/// GPT2Model saves its tensors without the name that GPT2LMHeadModel puts before them.
std::string_view without_prefix(std::string_view name) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  return name;
}

/// The causal mask and the value for masked places: constants that older versions of transformers
/// saved with the weights, and that every version computes anew.
bool is_mask(std::string_view name) {
  name = without_prefix(name);
  if (!name.starts_with("h.")) return false;
  name.remove_prefix(2);
  const std::size_t digits = name.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos) return false;
  name.remove_prefix(digits);
  return name == ".attn.bias" || name == ".attn.masked_bias";
}

/// Part of what every token goes through, not of a head for another task.
bool is_in_the_stack(std::string_view name) {
  const std::string_view inner = without_prefix(name);
  return inner.size() < name.size() ||
         std::ranges::any_of(std::array{"h.", "wte.", "wpe.", "ln_f."},
                             [&](const char* part) { return inner.starts_with(part); });
}

/// "a", "b" and 3 more
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 3;
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i)
    shown.push_back(in_quotes(names[i]));
  std::string text = fmt::format("{}", fmt::join(shown, ", "));
  if (names.size() > kMost) text += fmt::format(" and {} more", names.size() - kMost);
  return text;
}

[[noreturn]] void refuse_without_weights(const ModelDirectory& directory) {
  struct Instead {
    const char* file;
    const char* remedy;
  };
  constexpr const char* kConvert =
      "load it with transformers from a source that you trust, and save_pretrained() it again, "
      "which writes model.safetensors";
  constexpr std::array kInstead{
      Instead{"pytorch_model.bin", kConvert},
      Instead{"pytorch_model.bin.index.json", kConvert},
      Instead{"tf_model.h5", kConvert},
      Instead{"flax_model.msgpack", kConvert},
      Instead{"adapter_model.safetensors",
              "that is an adapter: merge it into its model with peft's merge_and_unload() and save "
              "that"},
  };
  for (const auto& [file, remedy] : kInstead) {
    if (!directory.contains(file)) continue;
    throw InvalidArgument(
        fmt::format("{} has no {} but {}", directory.path().string(), kModelFile, file), remedy);
  }
  throw InvalidArgument(fmt::format("{} has no {}", directory.path().string(), kModelFile),
                        "name the directory of a run or of a GPT-2 model, downloaded as a whole");
}

}  // namespace

ModelWeights::ModelWeights(const ModelDirectory& directory, const model::GptConfig& config) {
  // As transformers does: the index counts only where there is no single file.
  if (directory.contains(kModelFile)) {
    source_ = directory.file(kModelFile).string();
    open_file(directory, kModelFile);
  } else if (directory.contains(kModelIndexFile)) {
    source_ = directory.file(kModelIndexFile).string();
    open_shards(directory);
  } else {
    refuse_without_weights(directory);
  }
  std::unordered_set<std::string> used;
  for (const model::ParameterSpec& spec : model::Gpt::parameter_specs(config)) {
    place(spec);
    used.insert(weights_.at(spec.name).tensor->name);
  }
  check_rest(used);
}

void ModelWeights::open_file(const ModelDirectory& directory, const std::string& name) {
  files_.push_back(std::make_unique<SafetensorsFile>(directory.open(name), directory.file(name)));
  const SafetensorsFile& file = *files_.back();
  for (const StoredTensor& tensor : file.tensors()) {
    const auto [found, fresh] = stored_.emplace(tensor.name, Place{&file, &tensor});
    if (fresh) continue;
    throw Error(fmt::format("{} and {} both hold tensor {}", found->second.file->path().string(),
                            name, in_quotes(tensor.name)),
                "remove what belongs to another model, or download all of it again");
  }
}

void ModelWeights::open_shards(const ModelDirectory& directory) {
  const auto index =
      parse_safetensors_index(directory.read_text(kModelIndexFile, kLargestIndex), source_);
  std::set<std::string> names;
  for (const auto& [tensor, file] : index) names.insert(file);
  for (const std::string& name : names) {
    if (!directory.contains(name)) {
      throw Error(fmt::format("{} is missing, which {} names", directory.file(name).string(),
                              kModelIndexFile),
                  "download it too: a model in shards needs all of them");
    }
    open_file(directory, name);
  }
  for (const auto& [tensor, file] : index) {
    const auto found = stored_.find(tensor);
    if (found != stored_.end() && found->second.file->path() == directory.file(file)) continue;
    throw Error(fmt::format("{} has no tensor {}, which {} says is there",
                            directory.file(file).string(), in_quotes(tensor), kModelIndexFile),
                "download all of the model again: its files are of different versions");
  }
}

void ModelWeights::place(const model::ParameterSpec& spec) {
  const auto with = stored_.find(spec.name);
  const auto without = stored_.find(std::string(without_prefix(spec.name)));
  if (with != stored_.end() && without != stored_.end()) {
    throw Error(fmt::format("{} holds both {} and {}", source_, in_quotes(with->first),
                            in_quotes(without->first)),
                "save the model again with one of them");
  }
  const auto found = with != stored_.end() ? with : without;
  if (found == stored_.end()) {
    const std::string some = stored_.empty() ? "none" : in_quotes(stored_.begin()->first);
    throw Error(
        fmt::format("{} has no tensor {}, nor one without \"{}\"; the first that it has is {}",
                    source_, in_quotes(spec.name), kPrefix, some),
        kOtherModel);
  }
  const auto& [file, tensor] = found->second;
  Shape shape = spec.shape;
  shape[0] = spec.saved_rows;
  if (tensor->shape != shape) {
    throw Error(
        fmt::format("{}: tensor {} is {}, where config.json says [{}]", file->path().string(),
                    in_quotes(tensor->name), describe(*tensor), fmt::join(shape, ", ")),
        kOtherModel);
  }
  if (!tensor->is_float()) {
    throw Error(fmt::format("{}: tensor {} is {}, and weights are read from F32, BF16 and F16",
                            file->path().string(), in_quotes(tensor->name), describe(*tensor)),
                "use the model's own weights, or convert these");
  }
  weights_.emplace(spec.name, found->second);
}

void ModelWeights::check_rest(const std::unordered_set<std::string>& used) {
  std::vector<std::string> foreign;
  std::vector<std::string> passed;
  for (const auto& [name, place] : stored_) {
    if (used.contains(name) || is_mask(name)) continue;
    if (name == kHead) {
      require_tied_head(place);
    } else {
      (is_in_the_stack(name) ? foreign : passed).push_back(name);
    }
  }
  if (!foreign.empty()) {
    throw Error(fmt::format("{} has weights that a GPT-2 of its config.json has not: {}", source_,
                            listed(foreign)),
                kOtherModel);
  }
  if (!passed.empty()) {
    warnings_.push_back(fmt::format("{}: passed over what a language model does not use: {}",
                                    source_, listed(passed)));
  }
}

void ModelWeights::require_tied_head(const Place& head) const {
  const Place& embedding = weights_.at(std::string(kEmbedding));
  const auto refuse = [&](std::string_view how) {
    throw Error(fmt::format("{}: tensor \"{}\" {}", head.file->path().string(), kHead, how),
                "use a model whose head and embedding are one, as GPT-2's are");
  };
  if (head.tensor->shape != embedding.tensor->shape || !head.tensor->is_float()) {
    refuse(fmt::format("is {}, and the embedding that it must equal {}", describe(*head.tensor),
                       describe(*embedding.tensor)));
  }
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 18;
  const auto count = static_cast<std::uint64_t>(element_count(head.tensor->shape));
  std::vector<float> a(std::min(kPiece, count));
  std::vector<float> b(a.size());
  for (std::uint64_t first = 0; first < count; first += kPiece) {
    const auto size = static_cast<std::size_t>(std::min(kPiece, count - first));
    head.file->read_floats(*head.tensor, first, std::span(a).first(size));
    embedding.file->read_floats(*embedding.tensor, first, std::span(b).first(size));
    if (std::memcmp(a.data(), b.data(), size * sizeof(float)) != 0) {
      refuse("differs from the embedding");
    }
  }
}

void ModelWeights::read(const model::Parameter& parameter, std::uint64_t first,
                        std::span<float> values) const {
  const Place& place = weights_.at(parameter.spec.name);
  place.file->read_floats(*place.tensor, first, values);
  if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return;
  throw Error(fmt::format("{}: tensor {} holds a number that is not finite",
                          place.file->path().string(), in_quotes(place.tensor->name)),
              "download or copy it again; if it is so at its source, that model is broken");
}

}  // namespace cajal::train
