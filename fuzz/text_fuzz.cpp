// Any bytes for a text file: UTF-8 that is the same for pieces of any size, and words that join to
// it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "data/splitter.h"
#include "data/text_decoder.h"
#include "data/text_probe.h"
#include "data/utf8.h"

namespace {

using namespace cajal::data;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Decoded {
  std::string text;
  std::int64_t invalid = 0;
  std::int64_t line = 0;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view bytes, std::size_t piece) {
  Decoded result;
  TextDecoder decoder;
  for (bool last = false; !last;) {
    last = bytes.size() < piece;
    const std::size_t used = decoder.append(bytes.substr(0, piece), last, result.text);
    require(used > 0 || last);
    bytes.remove_prefix(used);
  }
  result.invalid = decoder.invalid_bytes();
  result.line = decoder.first_invalid_line();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  advice(probe(bytes, size % 2 == 0));
  const Decoded whole = decode(bytes, size + 1);
  require(is_utf8(whole.text) && whole.text.find('\0') == std::string::npos);
  require(whole.invalid > 0 || bytes.ends_with(whole.text));
  for (const std::size_t piece : {4, 5, 7}) require(decode(bytes, piece) == whole);

  std::string joined;
  for_each_word(bytes, [&](std::string_view word) {
    require(!word.empty());
    joined += word;
  });
  require(joined == bytes);
  return 0;
}
