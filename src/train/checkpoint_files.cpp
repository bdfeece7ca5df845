#include "train/checkpoint_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "data/parallel.h"
#include "train/checkpoint.h"
#include "train/durable_file.h"
#include "train/safetensors_layout.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

/// One parameter's numbers in one arena, as a tensor of a file.
struct SavedTensor {
  ArrayInfo info;
  ArenaSlice slice;
};

void add_tensors(const model::Parameters& parameters, Arena arena, const std::string& prefix,
                 std::vector<SavedTensor>& tensors) {
  for (const model::Parameter& parameter : parameters.all()) {
    const Shape shape = parameter.saved_shape();
    const ArenaSlice slice{arena, static_cast<std::size_t>(parameter.offset) * sizeof(float),
                           static_cast<std::size_t>(element_count(shape)) * sizeof(float)};
    tensors.push_back({{prefix + parameter.spec.name, DType::f32, shape}, slice});
  }
}

/// Whether no exponent is all ones: a NaN's or an infinity's is. Without branches, so that it runs
/// at the speed of memory.
bool all_finite(std::span<const std::byte> floats) {
  constexpr std::uint32_t kExponent = 0x7F800000U;
  std::uint32_t found = 0;
  for (std::size_t i = 0; i + sizeof(float) <= floats.size(); i += sizeof(float)) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, floats.data() + i, sizeof bits);
    found |= (bits & kExponent) == kExponent ? 1U : 0U;
  }
  return found == 0;
}

/// A tensor file on its way to the disk. Where there are cores to spare, a second thread checks and
/// hashes a piece while the first one writes it.
class TensorFile {
 public:
  TensorFile(const fs::path& file, std::string_view header, bool must_be_finite, bool spare_cores)
      : out_(file), must_be_finite_(must_be_finite), spare_cores_(spare_cores) {
    out_.write(header);
  }

  void put(std::span<const std::byte> bytes) {
    constexpr std::size_t kWorthAThread = std::size_t{1} << 20;
    if (spare_cores_ && bytes.size() >= kWorthAThread) {
      return out_.write_beside(bytes, [&] { check(bytes); });
    }
    check(bytes);
    out_.write(bytes);
  }

  ManifestEntry commit() { return out_.commit(); }

 private:
  void check(std::span<const std::byte> bytes) const {
    if (!must_be_finite_ || all_finite(bytes)) return;
    throw NotFinite("the weights are no longer finite", "lower --lr or lengthen --warmup");
  }

  AtomicFile out_;
  bool must_be_finite_;
  bool spare_cores_;
};

ManifestEntry write_tensors(const fs::path& file, const std::vector<SavedTensor>& tensors,
                            const std::map<std::string, std::string>& metadata,
                            const ReadState& read, bool spare_cores) {
  std::vector<ArrayInfo> infos;
  for (const SavedTensor& tensor : tensors) infos.push_back(tensor.info);
  const SafetensorsLayout layout = lay_out_safetensors(infos, metadata);
  std::vector<ArenaSlice> slices;
  for (const SafetensorsLayout::Place& place : layout.places) {
    slices.push_back(tensors[place.array].slice);
  }
  TensorFile out(file, layout.header, tensors.front().slice.arena == Arena::weights, spare_cores);
  read(slices, [&](std::span<const std::byte> piece) { out.put(piece); });
  return out.commit();
}

}  // namespace

std::vector<ManifestEntry> write_checkpoint_files(const CheckpointModel& model,
                                                  const TrainerState& state, const OpenState& open,
                                                  const fs::path& folder) {
  std::vector<SavedTensor> weights;
  add_tensors(*model.parameters, Arena::weights, "", weights);
  std::vector<SavedTensor> moments;
  add_tensors(*model.parameters, Arena::first_moments, kFirstMoment, moments);
  add_tensors(*model.parameters, Arena::second_moments, kSecondMoment, moments);
  // A file system lets one writer into a file, so the two are written side by side.
  const bool spare = model.spare_cores;
  std::vector<ManifestEntry> written(2);
  data::parallel_for(spare ? 2 : 1, written.size(), [&](std::size_t, std::size_t item) {
    written[item] =
        item == 0 ? write_tensors(folder / kOptimizerFile, moments, {}, open(), spare)
                  : write_tensors(folder / kModelFile, weights, {{"format", "pt"}}, open(), spare);
  });

  const data::Tokenizer* tokenizer = model.tokenizer;
  const auto end_of_text = tokenizer != nullptr ? tokenizer->end_of_text() : std::nullopt;
  const auto last_id = static_cast<data::TokenId>(model.config->vocab_size - 1);
  write_file_atomically(folder / kConfigFile,
                        model::to_config_json(*model.config, end_of_text.value_or(last_id)));
  if (tokenizer != nullptr) tokenizer->save(folder / kTokenizerFile);
  save_trainer_state(state, folder);
  return written;
}

std::uint64_t checkpoint_bytes(const model::Parameters& parameters) {
  std::uint64_t elements = 0;
  for (const model::Parameter& parameter : parameters.all()) {
    elements += static_cast<std::uint64_t>(element_count(parameter.saved_shape()));
  }
  return kArenas * elements * sizeof(float);
}

}  // namespace cajal::train
