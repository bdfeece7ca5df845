#include "data/corpus.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <system_error>

#include "cajal/error.h"
#include "data/file.h"
#include "data/utf8.h"

namespace cajal::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kProbeBytes = std::size_t{1} << 20;
constexpr std::size_t kSampleBytes = std::size_t{1} << 20;
constexpr std::size_t kSmallestPiece = 4;  // One character of any length fits.

enum class Verdict : std::uint8_t { text, empty, binary, invalid, unreadable };

bool has_nul(std::string_view text) {
  return !text.empty() && std::memchr(text.data(), 0, text.size()) != nullptr;
}

Verdict judge(const fs::path& path, std::string& buffer, CorpusStats& stats) {
  try {
    const InputFile file(path);
    const std::uint64_t size = file.size();
    if (size == 0) return Verdict::empty;
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, kProbeBytes));
    std::string_view text(buffer.data(), file.read_at(0, std::span(buffer.data(), wanted)));
    if (has_nul(text)) return Verdict::binary;
    if (text.size() < size) text.remove_suffix(incomplete_tail(text));
    if (!is_utf8(text)) return Verdict::invalid;
    stats.bytes += static_cast<std::int64_t>(size);
    return Verdict::text;
  } catch (const Error&) {
    return Verdict::unreadable;
  }
}

bool is_hidden(const fs::path& path) { return path.filename().native().starts_with('.'); }

void list_directory(const fs::path& root, std::vector<fs::path>& found, CorpusStats& stats) {
  std::vector<fs::path> open{root};
  while (!open.empty()) {
    const fs::path directory = std::move(open.back());
    open.pop_back();
    std::error_code error;
    fs::directory_iterator entry(directory, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      std::error_code ignored;
      if (is_hidden(entry->path())) continue;
      if (entry->is_directory(ignored)) {
        if (!entry->is_symlink(ignored)) open.push_back(entry->path());
      } else if (entry->is_regular_file(ignored)) {
        found.push_back(entry->path());
      }
    }
    if (error) ++stats.skipped_unreadable;
  }
}

std::vector<fs::path> list(const std::vector<fs::path>& paths, CorpusStats& stats) {
  std::vector<fs::path> found;
  for (const fs::path& path : paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (fs::is_directory(status)) {
      list_directory(path, found, stats);
    } else if (fs::is_regular_file(status)) {
      found.push_back(path);
    } else if (status.type() == fs::file_type::not_found) {
      throw InvalidArgument(fmt::format("{} does not exist", path.string()),
                            "name text files or directories");
    } else {
      throw InvalidArgument(fmt::format("{} is neither a file nor a directory", path.string()),
                            "name text files or directories");
    }
  }
  const auto by_name = [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); };
  std::sort(found.begin(), found.end(), by_name);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::string describe_skipped(const CorpusStats& stats) {
  return fmt::format("{} binary, {} not UTF-8, {} unreadable", stats.skipped_binary,
                     stats.skipped_invalid, stats.skipped_unreadable);
}

std::int64_t skipped(const CorpusStats& stats) {
  return stats.skipped_binary + stats.skipped_invalid + stats.skipped_unreadable;
}

/// Hands out one file. Throws Error when it cannot be read; false when it turned out not to be
/// text.
bool read_file(const fs::path& path, std::string& buffer, const Corpus::Visit& visit,
               CorpusStats& stats) {
  const InputFile file(path);
  std::uint64_t offset = 0;
  for (;;) {
    const std::size_t count = file.read_at(offset, std::span(buffer.data(), buffer.size()));
    std::string_view piece(buffer.data(), count);
    const bool last = count < buffer.size();
    if (!last) piece = piece.substr(0, cut_point(piece));
    if (has_nul(piece) || !is_utf8(piece)) return false;
    visit(piece, last);
    stats.bytes += static_cast<std::int64_t>(piece.size());
    offset += piece.size();
    if (last) return true;
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
      if (text.empty() || has_nul(text) || !is_utf8(text)) continue;
      stats.bytes += static_cast<std::int64_t>(text.size());
      used = true;
      visit(text, true);
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

Corpus Corpus::open(const std::vector<fs::path>& paths) {
  if (paths.empty()) throw InvalidArgument("no text was named", "name text files or directories");
  Corpus corpus;
  CorpusStats& stats = corpus.stats_;
  std::string buffer(kProbeBytes, '\0');
  for (fs::path& path : list(paths, stats)) {
    switch (judge(path, buffer, stats)) {
      case Verdict::text:
        corpus.files_.push_back(std::move(path));
        break;
      case Verdict::empty:
        break;
      case Verdict::binary:
        ++stats.skipped_binary;
        break;
      case Verdict::invalid:
        ++stats.skipped_invalid;
        break;
      case Verdict::unreadable:
        ++stats.skipped_unreadable;
        break;
    }
  }
  stats.files = static_cast<std::int64_t>(corpus.files_.size());
  if (corpus.files_.empty()) {
    throw InvalidArgument(
        fmt::format("no text found under {}{} (skipped: {})", paths.front().string(),
                    paths.size() > 1 ? " and the other paths" : "", describe_skipped(stats)),
        "name files of UTF-8 text or directories that hold some");
  }
  if (skipped(stats) > 0) {
    spdlog::warn("skipped {} files: {}", skipped(stats), describe_skipped(stats));
  }
  return corpus;
}

CorpusStats Corpus::for_each(const Visit& visit, std::size_t piece_bytes) const {
  CorpusStats stats;
  std::string buffer(std::max(piece_bytes, kSmallestPiece), '\0');
  for (const fs::path& path : files_) {
    bool whole = false;
    const bool readable = attempt(
        visit, [&](const Visit& guarded) { whole = read_file(path, buffer, guarded, stats); });
    ++stats.files;
    if (!readable || !whole) {
      ++stats.cut_short;
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
