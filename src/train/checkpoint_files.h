// The files of one checkpoint, made from a state that is held still.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cajal/error.h"
#include "data/tokenizer.h"
#include "model/gpt_config.h"
#include "model/parameters.h"
#include "train/manifest.h"
#include "train/snapshot.h"
#include "train/trainer_state.h"

namespace cajal::train {

/// What a run knows of its checkpoints from the start. Must outlive the writing.
struct CheckpointModel {
  const model::Parameters* parameters = nullptr;
  const model::GptConfig* config = nullptr;
  const data::Tokenizer* tokenizer = nullptr;  ///< Null for a run on shards of unknown origin.
  bool spare_cores = false;  ///< The device leaves the host's cores alone: use four for the files.
};

/// The weights hold a NaN or an infinity.
class NotFinite : public Error {
 public:
  using Error::Error;
};

/// Writes everything of one checkpoint into an existing folder, each file flushed to the disk, and
/// returns their checksums. Host memory does not grow with the model. Throws Error when a file
/// cannot be written, NotFinite rather than write weights that are not finite.
std::vector<ManifestEntry> write_checkpoint_files(const CheckpointModel& model,
                                                  const TrainerState& state, const OpenState& open,
                                                  const std::filesystem::path& folder);

/// Bytes on the disk of one such checkpoint, but for the small files.
std::uint64_t checkpoint_bytes(const model::Parameters& parameters);

}  // namespace cajal::train
