#include "train/text_stamps.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "cajal/error.h"
#include "data/file.h"
#include "train/checksum.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kWholeBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kBlockBytes = std::uint64_t{64} << 10;
constexpr std::uint64_t kBlocks = 16;

std::uint64_t hash_contents(const data::InputFile& file, std::uint64_t size) {
  Hasher hasher;
  std::string block(kBlockBytes, '\0');
  const auto take = [&](std::uint64_t offset) {
    const std::size_t count = file.read_at(offset, block);
    hasher.update(std::as_bytes(std::span(block.data(), count)));
  };
  if (size <= kWholeBytes) {
    for (std::uint64_t offset = 0; offset < size; offset += kBlockBytes) take(offset);
  } else {
    // The first at the beginning, the last at the very end.
    const std::uint64_t last = size - kBlockBytes;
    constexpr std::uint64_t kSteps = kBlocks - 1;
    for (std::uint64_t i = 0; i <= kSteps; ++i) {
      take(last / kSteps * i + last % kSteps * i / kSteps);
    }
  }
  return hasher.value();
}

bool changed(const TextStamp& before) try {
  const data::InputFile file(before.path);
  if (file.size() != before.bytes) return true;
  if (file.modified_ns() == before.modified_ns) return false;
  return hash_contents(file, before.bytes) != before.xxh3;
} catch (const Error&) {
  return true;
}

}  // namespace

TextStamp stamp_of(const fs::path& path) {
  const data::InputFile file(path);
  const std::uint64_t size = file.size();
  return {path.string(), size, file.modified_ns(), hash_contents(file, size)};
}

std::vector<TextStamp> stamps_of(const std::vector<fs::path>& files) {
  std::vector<TextStamp> stamps;
  stamps.reserve(files.size());
  for (const fs::path& file : files) {
    try {
      stamps.push_back(stamp_of(file));
    } catch (const Error&) {
      // Encoding it will say so.
    }
  }
  return stamps;
}

std::string describe_changes(const std::vector<TextStamp>& before,
                             const std::vector<fs::path>& files) {
  std::unordered_set<std::string> present;
  for (const fs::path& file : files) present.insert(file.string());
  std::int64_t different = 0;
  std::int64_t gone = 0;
  for (const TextStamp& stamp : before) {
    const bool here = present.erase(stamp.path) > 0;
    if (!here) {
      ++gone;
    } else if (changed(stamp)) {
      ++different;
    }
  }
  std::string text;
  const auto add = [&](std::int64_t count, std::string_view one, std::string_view many) {
    if (count == 0) return;
    text += text.empty()
                ? fmt::format("{} of {} files {}", count, before.size(), count == 1 ? one : many)
                : fmt::format(", {} {}", count, count == 1 ? one : many);
  };
  add(different, "has changed", "have changed");
  add(gone, "is gone", "are gone");
  const std::size_t fresh = present.size();
  if (fresh > 0) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", fresh,
                        fresh == 1 ? "file is new" : "files are new");
  }
  return text;
}

nlohmann::json to_json(const std::vector<TextStamp>& stamps) {
  auto list = nlohmann::json::array();
  for (const TextStamp& stamp : stamps) {
    list.push_back({{"path", stamp.path},
                    {"bytes", stamp.bytes},
                    {"modified_ns", stamp.modified_ns},
                    {"xxh3", fmt::format("{:016x}", stamp.xxh3)}});
  }
  return list;
}

std::vector<TextStamp> stamps_from_json(const nlohmann::json& json) {
  std::vector<TextStamp> stamps;
  for (const auto& item : json.get_ref<const nlohmann::json::array_t&>()) {
    TextStamp stamp;
    item.at("path").get_to(stamp.path);
    item.at("bytes").get_to(stamp.bytes);
    item.at("modified_ns").get_to(stamp.modified_ns);
    stamp.xxh3 = std::strtoull(item.at("xxh3").get_ref<const std::string&>().c_str(), nullptr, 16);
    stamps.push_back(std::move(stamp));
  }
  return stamps;
}

}  // namespace cajal::train
