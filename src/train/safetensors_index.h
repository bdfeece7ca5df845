// model.safetensors.index.json: which file of several holds which tensor.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace cajal::train {

/// The file name of every tensor. Throws Error, with `source` as the index's name, when the text is
/// no index, names a tensor twice, or a file that is not in the index's own folder.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source);

}  // namespace cajal::train
