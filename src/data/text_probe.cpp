#include "data/text_probe.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "data/utf8.h"

namespace cajal::data {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kHeadBytes = std::size_t{1} << 20;
constexpr std::size_t kBlockBytes = std::size_t{64} << 10;

// Formats whose files may be short enough, or begin with enough text, to have no NUL byte.
constexpr std::array kMagic = {"%PDF-"sv,
                               "\x1F\x8B"sv,
                               "BZh9"sv,
                               "\xFD"
                               "7zXZ"sv,
                               "\x28\xB5\x2F\xFD"sv,
                               "PK\3\4"sv,
                               "\x89PNG\r\n"sv,
                               "\xFF\xD8\xFF"sv,
                               "GIF87a"sv,
                               "GIF89a"sv,
                               "7z\xBC\xAF"sv,
                               "Rar!\x1A"sv,
                               "\x7F"
                               "ELF"sv};

struct Counts {
  std::size_t bytes = 0;
  std::size_t invalid = 0;            ///< Bytes that belong to no character.
  std::size_t sequences = 0;          ///< Runs of them that one character stands for.
  std::size_t longer = 0;             ///< Valid characters outside ASCII.
  std::size_t controls = 0;           ///< Such as text does not have.
  std::array<std::size_t, 2> nuls{};  ///< At even and at odd places.

  std::size_t all_nuls() const { return nuls[0] + nuls[1]; }
};

bool is_control(unsigned char byte) {
  return byte < 0x20 && !(byte >= '\t' && byte <= '\r') && byte != 0x1B;
}

Counts count(std::string_view text) {
  Counts counts;
  counts.bytes = text.size();
  for (std::size_t position = 0; position < text.size();) {
    const auto byte = static_cast<unsigned char>(text[position]);
    if (byte < 0x80) {
      if (byte == 0) ++counts.nuls[position % 2];
      if (is_control(byte)) ++counts.controls;
      ++position;
      continue;
    }
    std::size_t length = character_at(text, position).length;
    if (length > 0) {
      ++counts.longer;
    } else {
      length = invalid_length(text.substr(position));
      counts.invalid += length;
      ++counts.sequences;
    }
    position += length;
  }
  return counts;
}

/// More than a few bad bytes, and more of them than of good ones.
bool mostly_invalid(const Counts& counts) {
  return counts.sequences > counts.longer && counts.invalid * 400 > counts.bytes;
}

bool many_nuls(const Counts& counts) { return counts.all_nuls() * 256 > counts.bytes; }

/// ASCII's characters in UTF-16: every other byte is NUL.
bool looks_like_utf16(const Counts& counts) {
  const std::size_t most = std::max(counts.nuls[0], counts.nuls[1]);
  const std::size_t least = std::min(counts.nuls[0], counts.nuls[1]);
  return counts.bytes >= 8 && most * 10 > counts.bytes * 3 && least * 20 < most;
}

TextKind probe_counts(const Counts& counts) {
  if (counts.all_nuls() > 0) return looks_like_utf16(counts) ? TextKind::utf16 : TextKind::binary;
  if (!mostly_invalid(counts)) return TextKind::text;
  if (counts.controls * 100 > counts.bytes) return TextKind::binary;
  return counts.sequences * 4 < counts.bytes ? TextKind::latin1 : TextKind::other;
}

}  // namespace

TextKind probe(std::string_view beginning, bool whole) {
  if (beginning.empty()) return TextKind::empty;
  const auto begins = [&](std::string_view magic) { return beginning.starts_with(magic); };
  if (begins("\xFF\xFE\0\0"sv) || begins("\0\0\xFE\xFF"sv)) return TextKind::utf32;
  if (begins("\xFF\xFE") || begins("\xFE\xFF")) return TextKind::utf16;
  if (std::any_of(kMagic.begin(), kMagic.end(), begins)) return TextKind::binary;
  if (!whole) beginning.remove_suffix(incomplete_tail(beginning));
  return probe_counts(count(beginning));
}

TextKind probe(const InputFile& file, std::string& buffer) {
  buffer.resize(kHeadBytes);
  const auto block = [&](std::uint64_t offset, std::size_t bytes) {
    return std::string_view(buffer.data(), file.read_at(offset, std::span(buffer.data(), bytes)));
  };
  const std::uint64_t size = file.size();
  const TextKind head = probe(block(0, kHeadBytes), size <= kHeadBytes);
  if (head != TextKind::text || size <= kHeadBytes) return head;
  int bad = 0;
  for (const std::uint64_t third : {1, 2, 3}) {
    const std::uint64_t offset = (size - kBlockBytes) / 3 * third;
    const Counts counts = count(block(offset, kBlockBytes));
    if (many_nuls(counts) || mostly_invalid(counts)) ++bad;
  }
  return bad >= 2 ? TextKind::binary : TextKind::text;
}

std::string advice(TextKind kind) {
  switch (kind) {
    case TextKind::text:
      return "is text";
    case TextKind::empty:
      return "is empty";
    case TextKind::binary:
      return "is no text";
    case TextKind::utf16:
      return "looks like UTF-16, not UTF-8: convert it with iconv -f UTF-16 -t UTF-8";
    case TextKind::utf32:
      return "looks like UTF-32, not UTF-8: convert it with iconv -f UTF-32 -t UTF-8";
    case TextKind::latin1:
      return "looks like Latin-1 or Windows-1252, not UTF-8: convert it with iconv -f WINDOWS-1252 "
             "-t UTF-8";
    case TextKind::other:
      return "is not UTF-8: find its encoding and convert it with iconv -f ENCODING -t UTF-8";
  }
  return {};
}

}  // namespace cajal::data
