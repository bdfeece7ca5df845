#include "data/token_shard.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "cajal/error.h"
#include "data/file.h"
#include "data/shard_format.h"

namespace cajal::data {
namespace {

class Mapping {
 public:
  Mapping(const InputFile& file, std::size_t size) : size_(size) {
    address_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
    if (address_ == MAP_FAILED) {
      throw Error(fmt::format("cannot map {}: {}", file.path().string(),
                              std::generic_category().message(errno)));
    }
  }
  ~Mapping() { ::munmap(address_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const char* data() const { return static_cast<const char*>(address_); }

 private:
  void* address_ = nullptr;
  std::size_t size_ = 0;
};

/// The token count that the header gives; throws unless the file holds exactly that many.
std::size_t check_header(const char* data, std::uint64_t size, const std::string& name) {
  std::array<std::int32_t, 3> header{};
  std::memcpy(header.data(), data, sizeof header);
  const auto [magic, version, count] = header;
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
  return static_cast<std::size_t>(count);
}

}  // namespace

TokenShard::TokenShard(const std::filesystem::path& path) : file_(path) {
  const InputFile file(path);
  const std::uint64_t size = file.size();
  if (size < kShardHeaderBytes) {
    throw Error(fmt::format("{} is too short for a token shard ({} bytes)", path.string(), size),
                "the file is damaged; make or fetch it again");
  }
  auto mapping = std::make_shared<const Mapping>(file, size);
  const std::size_t count = check_header(mapping->data(), size, path.string());
  // A mapping begins on a page and the header has a multiple of two bytes, so tokens are aligned.
  tokens_ = {reinterpret_cast<const std::uint16_t*>(mapping->data() + kShardHeaderBytes), count};
  mapping_ = std::move(mapping);
}

}  // namespace cajal::data
