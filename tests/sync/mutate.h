// Broken sources: what an editor, a bad download or a fuzzer makes of a file.
#pragma once

#include <random>
#include <string>

namespace cajal::sync::testing {

/// One to four mutations of `text`, with parts of `other` for material.
std::string mutate(const std::string& text, const std::string& other, std::mt19937_64& random);

/// `inner` within `depth` levels of `open` and `close`.
std::string nested(const std::string& open, const std::string& inner, const std::string& close,
                   int depth);

}  // namespace cajal::sync::testing
