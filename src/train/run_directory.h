// The directory of a run, and how a checkpoint gets into it whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/manifest.h"
#include "train/run_links.h"
#include "train/run_marker.h"

namespace cajal::train {

/// Fills an empty folder with plain files. May return what is known of some of them, so that they
/// are not read again for their checksums.
using FolderWriter = std::function<std::vector<ManifestEntry>(const std::filesystem::path& folder)>;

/// Layout:
///   .cajal-run                                         says whose directory it is, and locks it
///   checkpoint-<step>/                                 files, and manifest.json with checksums
///   latest                                             the newest of those
///   config.json model.safetensors tokenizer.json ...   what Hugging Face transformers opens
///   metrics.jsonl                                      one object a step
///   tokens/                                            the encoded corpus, with its manifest.json
///   .cajal-tmp-<id>/                                   what is half written
///
/// A checkpoint is several files that must change together, which rename cannot do. So they are
/// written to a folder inside .cajal-tmp-<id>/, flushed, and the folder renamed to
/// checkpoint-<step>/. From then on that is the one that counts: the newest by its number, as long
/// as its manifest holds. `latest`, and the files beside it, are links for people and programs
/// (see run_links.h for file systems without); nothing is lost with them. The directory may be
/// moved, and copied with its links, without them, or with what they name.
///
/// Nothing is touched but what a run made: a new one begins only where none of its names is taken,
/// folders are removed file by file after their manifests, links only where they lead to a
/// checkpoint, and the temporary folder bears the random id of the marker.
///
/// One process at a time: the object holds a lock that ends with the process, however it ends.
class RunDirectory {
 public:
  enum class Use {
    begin,  ///< A new run; refuses a folder where anything of its names is somebody else's.
    resume  ///< Goes on; takes over a run of an earlier cajal, which had no marker.
  };

  /// Creates the directory where needed; removes leftovers of a killed run. `links` is found out by
  /// trying where it is not given. Throws InvalidArgument with the remedy, before anything is
  /// written: not writable, a file of that name, in use by another training, a name that is taken.
  RunDirectory(std::filesystem::path path, Use use, std::optional<Links> links = std::nullopt);
  /// A run that was begun and has neither checkpoint nor a line of metrics leaves nothing behind.
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  /// The folder of the checkpoint that a RunDirectory there would take for the latest; changes
  /// nothing, and looks at nothing but names.
  static std::optional<std::filesystem::path> find(const std::filesystem::path& path);
  /// find(), with every file read and held against its checksum. Throws Error that names the
  /// damaged file, and as the remedy the next checkpoint that is whole.
  static std::optional<std::filesystem::path> find_whole(const std::filesystem::path& path);

  /// Throws InvalidArgument when a training is at work there, which changes what find() finds.
  static void require_unused(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  Links links() const { return links_; }
  /// What the user should know of the directory as it was found, a line each.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// An empty folder's worth of names that are this run's alone, on the same file system.
  std::filesystem::path scratch() const;

  /// Step of the newest checkpoint, or -1.
  std::int64_t latest_step() const;
  /// The folder of that checkpoint. Throws Error when there is none.
  std::filesystem::path latest() const;

  /// Calls `write` with an empty temporary folder, adds the manifest, and makes it the latest
  /// checkpoint. Only when that is on the disk, removes all but the `keep` newest and the one of
  /// the lowest validation loss, and those of later steps, which a run begun again has left behind.
  /// From any thread, one at a time. Returns what the user should know of, a line each.
  ///
  /// Throws Error; the last checkpoint stays. What was written stays too, and the message says
  /// where, when it is whole, or when it holds the model and there is no checkpoint yet.
  std::vector<std::string> publish(std::int64_t step, std::optional<double> validation_loss,
                                   const FolderWriter& write, int keep = 1);

  /// Calls `write` with an empty temporary folder, adds the manifest, and puts it in the place of
  /// the folder `name`, which must be this run's or absent: throws InvalidArgument that names what
  /// else is in it, before `write` is called. On any exception the old folder stays.
  void replace_folder(std::string_view name, const FolderWriter& write);
  /// Removes the folder `name` as far as its manifest lists it.
  void remove_folder(std::string_view name);

  /// Throws InvalidArgument, with both figures, where not one checkpoint of so many bytes fits on
  /// the disk. Returns a warning where it holds one, but not the `keep` + 2 that a save may need.
  std::optional<std::string> require_space(std::uint64_t checkpoint_bytes, int keep) const;

 private:
  void require_own_names(Use use) const;
  void discard_if_unused();
  void clear_scratch() const;
  std::filesystem::path write_folder(const std::string& name, std::optional<double> loss,
                                     const FolderWriter& write, bool keep_model) const;
  std::string unused_name(std::int64_t step) const;
  void require_in_place() const;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> created_;  ///< By the constructor, innermost first.
  std::optional<RunMarker> marker_;
  Use use_;
  Links links_ = Links::symbolic;
  std::vector<std::string> warnings_;
};

}  // namespace cajal::train
