// The name that somebody probably meant.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cajal::cli {

/// The candidate nearest to `word` by edits (insert, delete, replace, swap of neighbors), when it
/// is near enough to be a slip of the fingers.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// "; did you mean X?" or nothing, for the end of a remedy.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace cajal::cli
