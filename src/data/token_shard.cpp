#include "data/token_shard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "cajal/error.h"
#include "data/file.h"
#include "data/shard_format.h"

namespace cajal::data {
namespace {

// The lowest free number is given to a new descriptor: a high one says that many files are open.
constexpr int kKeptOpen = 512;

/// The token count that the header gives; throws unless the file holds exactly that many.
std::int64_t check_header(const InputFile& file) {
  const std::string name = file.path().string();
  const std::uint64_t size = file.size();
  std::array<std::int32_t, kShardHeaderInts> ints{};
  const auto bytes = std::span(reinterpret_cast<char*>(ints.data()), kShardHeaderBytes);
  if (size < kShardHeaderBytes || file.read_at(0, bytes) < kShardHeaderBytes) {
    throw Error(fmt::format("{} is too short for a token shard ({} bytes)", name, size),
                "the file is damaged; make or fetch it again");
  }
  const std::int32_t magic = ints[0];
  const std::int32_t version = ints[1];
  const std::int32_t count = ints[2];
  if (magic != kShardMagic) {
    throw Error(fmt::format("{} is not a token shard (magic {}, not {})", name, magic, kShardMagic),
                "make shards with cajal or with llm.c's GPT-2 scripts");
  }
  if (version != kShardVersion) {
    throw Error(
        fmt::format("{} is a token shard of version {}, not {}", name, version, kShardVersion),
        "make shards with cajal or with llm.c's GPT-2 scripts");
  }
  const std::int64_t claimed = std::int64_t{count} * std::int64_t{sizeof(std::uint16_t)};
  const auto held = static_cast<std::int64_t>(size - kShardHeaderBytes);
  if (count < 0 || claimed != held) {
    throw Error(fmt::format("{} claims {} tokens and holds {} bytes of them", name, count, held),
                "the file is damaged; make or fetch it again");
  }
  return count;
}

}  // namespace

TokenShard::TokenShard(const std::filesystem::path& path) : file_(path) {
  auto file = std::make_shared<const InputFile>(path);
  count_ = check_header(*file);
  modified_ns_ = file->modified_ns();
  if (file->descriptor() < kKeptOpen) open_ = std::move(file);
}

void TokenShard::read(std::int64_t begin, std::span<std::uint16_t> tokens) const {
  constexpr const char* kRemedy = "bring the file back as it was and resume";
  const auto read_from = [&](const InputFile& file) {
    const std::uint64_t offset =
        kShardHeaderBytes + static_cast<std::uint64_t>(begin) * sizeof(std::uint16_t);
    const std::span bytes(reinterpret_cast<char*>(tokens.data()), tokens.size_bytes());
    if (file.read_at(offset, bytes) == bytes.size()) return;
    throw Error(fmt::format("{} has shrunk to {} bytes while it was being read", file_.string(),
                            file.size()),
                kRemedy);
  };
  if (open_) return read_from(*open_);
  const InputFile file(file_);
  if (file.modified_ns() != modified_ns_) {
    throw Error(fmt::format("{} was changed while it was being read", file_.string()), kRemedy);
  }
  read_from(file);
}

std::vector<std::uint16_t> TokenShard::all() const {
  std::vector<std::uint16_t> tokens(static_cast<std::size_t>(count_));
  read(0, tokens);
  return tokens;
}

}  // namespace cajal::data
