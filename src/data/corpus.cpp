#include "data/corpus.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "cajal/error.h"
#include "data/file.h"
#include "data/file_listing.h"
#include "data/text_decoder.h"
#include "data/text_probe.h"
#include "data/utf8.h"

namespace cajal::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSampleBytes = std::size_t{1} << 20;
constexpr std::size_t kSmallestPiece = 4;  // One character of any length fits.
constexpr std::size_t kMostNotes = 3;

void note(CorpusStats& stats, std::string line) {
  if (stats.notes.size() < kMostNotes) stats.notes.push_back(std::move(line));
}

/// Whether the file is text; counts it in either case.
bool judge(const fs::path& path, std::string& buffer, CorpusStats& stats) try {
  const InputFile file(path);
  const TextKind kind = probe(file, buffer);
  switch (kind) {
    case TextKind::text:
      stats.bytes += static_cast<std::int64_t>(file.size());
      return true;
    case TextKind::empty:
      return false;
    case TextKind::binary:
      ++stats.skipped_binary;
      return false;
    default:
      ++stats.skipped_invalid;
      note(stats, fmt::format("{} {}", path.string(), advice(kind)));
      return false;
  }
} catch (const Error&) {
  ++stats.skipped_unreadable;
  return false;
}

void note_repairs(const fs::path& path, const TextDecoder& decoder, CorpusStats& stats) {
  const std::int64_t bytes = decoder.invalid_bytes();
  if (bytes == 0) return;
  ++stats.repaired_files;
  stats.repaired_bytes += bytes;
  const std::int64_t line = decoder.first_invalid_line();
  note(stats, bytes == 1
                  ? fmt::format("{}: 1 invalid byte at line {} replaced", path.string(), line)
                  : fmt::format("{}: {} invalid bytes replaced, the first at line {}",
                                path.string(), bytes, line));
}

/// Hands out one file. Throws Error when it cannot be read.
void read_file(const fs::path& path, std::string& buffer, const Corpus::Visit& visit,
               CorpusStats& stats) {
  const InputFile file(path);
  TextDecoder decoder;
  std::string text;
  std::uint64_t offset = 0;
  for (bool last = false; !last;) {
    const std::size_t count = file.read_at(offset, std::span(buffer.data(), buffer.size()));
    last = count < buffer.size();
    text.clear();
    const std::size_t used = decoder.append(std::string_view(buffer.data(), count), last, text);
    stats.bytes += static_cast<std::int64_t>(used);
    offset += used;
    if (last) note_repairs(path, decoder, stats);
    visit(text, last);
  }
}

/// Takes a block of the corpus whenever less than its share of what has gone by was taken.
class Sampler {
 public:
  explicit Sampler(double share) : share_(share), buffer_(kSampleBytes, '\0') {}

  /// Hands out the blocks that fall on this file; whether there were any.
  bool read(const fs::path& path, const Corpus::Visit& visit, CorpusStats& stats) {
    const InputFile file(path);
    const std::uint64_t size = file.size();
    bool used = false;
    for (std::uint64_t offset = 0; offset < size; offset += kSampleBytes) {
      seen_ += static_cast<double>(std::min<std::uint64_t>(size - offset, kSampleBytes));
      if (static_cast<double>(stats.bytes) >= share_ * seen_) continue;
      const std::string_view text = whole_lines(file, offset, size);
      if (text.empty()) continue;
      stats.bytes += static_cast<std::int64_t>(text.size());
      used = true;
      decoded_.clear();
      TextDecoder().append(text, true, decoded_);
      visit(decoded_, true);
    }
    return used;
  }

 private:
  /// The block at `offset` without the lines that begin before it or end after it.
  std::string_view whole_lines(const InputFile& file, std::uint64_t offset, std::uint64_t size) {
    const std::size_t count = file.read_at(offset, std::span(buffer_.data(), buffer_.size()));
    std::string_view text(buffer_.data(), count);
    if (offset + count < size) text = text.substr(0, cut_point(text));
    if (offset > 0) {
      const std::size_t line_end = text.find('\n');
      text.remove_prefix(line_end == std::string_view::npos ? text.size() : line_end + 1);
    }
    return text;
  }

  double share_;
  double seen_ = 0;
  std::string buffer_;
  std::string decoded_;
};

/// Runs `read` with `visit`. False when the file could not be read; an Error that visit itself
/// throws is the caller's own and goes on up.
template <class Read>
bool attempt(const Corpus::Visit& visit, Read&& read) {
  bool visiting = false;
  const Corpus::Visit guarded = [&](std::string_view text, bool last) {
    visiting = true;
    visit(text, last);
    visiting = false;
  };
  try {
    read(guarded);
    return true;
  } catch (const Error&) {
    if (visiting) throw;
    return false;
  }
}

}  // namespace

std::string describe_skipped(const CorpusStats& stats) {
  std::string text;
  const auto add = [&](std::int64_t count, std::string_view what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  add(stats.skipped_binary, "binary");
  add(stats.skipped_invalid, "not UTF-8");
  add(stats.skipped_unreadable, "unreadable");
  add(stats.skipped_hidden, "hidden");
  add(stats.skipped_runs, stats.skipped_runs == 1 ? "run directory" : "run directories");
  add(stats.skipped_shards, stats.skipped_shards == 1 ? "token shard" : "token shards");
  return text;
}

std::vector<fs::path> list_text_files(const std::vector<fs::path>& paths) {
  CorpusStats ignored;
  std::string buffer;
  std::vector<fs::path> files = list_files(paths).files;
  std::erase_if(files, [&](const fs::path& path) { return !judge(path, buffer, ignored); });
  return files;
}

Corpus Corpus::open_text_or_shards(const std::vector<fs::path>& paths) {
  if (paths.empty()) throw InvalidArgument("no text was named", "name text files or directories");
  FileListing listing = list_files(paths);
  Corpus corpus;
  corpus.shards_ = std::move(listing.shards);
  CorpusStats& stats = corpus.stats_;
  stats.skipped_hidden = listing.hidden;
  stats.skipped_runs = listing.runs;
  stats.skipped_shards = static_cast<std::int64_t>(corpus.shards_.size());
  stats.skipped_unreadable = listing.unreadable;
  std::string buffer;
  for (fs::path& path : listing.files) {
    if (judge(path, buffer, stats)) corpus.files_.push_back(std::move(path));
  }
  stats.files = static_cast<std::int64_t>(corpus.files_.size());
  if (corpus.files_.empty() && corpus.shards_.empty()) {
    const std::string skipped = describe_skipped(stats);
    throw InvalidArgument(
        fmt::format("no text found under {}{}{}", paths.front().string(),
                    paths.size() > 1 ? " and the other paths" : "",
                    skipped.empty() ? "" : fmt::format(" (skipped: {})", skipped)),
        stats.notes.empty() ? "name files of UTF-8 text or directories that hold some"
                            : stats.notes.front());
  }
  for (const std::string& line : stats.notes) spdlog::warn("{}", line);
  const std::int64_t odd = stats.skipped_binary + stats.skipped_invalid + stats.skipped_unreadable;
  if (odd > 0 && !corpus.files_.empty()) spdlog::warn("skipped: {}", describe_skipped(stats));
  return corpus;
}

Corpus Corpus::open(const std::vector<fs::path>& paths) {
  Corpus corpus = open_text_or_shards(paths);
  if (corpus.files_.empty()) {
    throw InvalidArgument(fmt::format("no text found under {}, but {} token shards",
                                      paths.front().string(), corpus.shards_.size()),
                          "name files of UTF-8 text or directories that hold some");
  }
  return corpus;
}

CorpusStats Corpus::for_each(const Visit& visit, std::size_t piece_bytes) const {
  CorpusStats stats = stats_;
  stats.files = 0;
  stats.bytes = 0;
  stats.notes.clear();
  std::string buffer(std::max(piece_bytes, kSmallestPiece), '\0');
  for (const fs::path& path : files_) {
    const bool readable =
        attempt(visit, [&](const Visit& guarded) { read_file(path, buffer, guarded, stats); });
    ++stats.files;
    if (!readable) {
      ++stats.cut_short;
      note(stats, fmt::format("{} became unreadable and ends there", path.string()));
      visit({}, true);
    }
  }
  return stats;
}

CorpusStats Corpus::for_each_sample(std::int64_t max_bytes, const Visit& visit) const {
  if (max_bytes <= 0 || max_bytes >= stats_.bytes) return for_each(visit);
  CorpusStats stats;
  Sampler sampler(static_cast<double>(max_bytes) / static_cast<double>(stats_.bytes));
  for (const fs::path& path : files_) {
    const bool readable = attempt(visit, [&](const Visit& guarded) {
      if (sampler.read(path, guarded, stats)) ++stats.files;
    });
    if (!readable) ++stats.skipped_unreadable;
  }
  return stats;
}

}  // namespace cajal::data
