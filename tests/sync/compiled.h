// Host programs as real programs: compiled with the system's compiler against the fake device of
// device/, and run under many seeds.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace cajal::sync::testing {

enum class Api { metal, cuda };

struct Source {
  std::string name;
  std::string text;        ///< With a main of its own.
  bool any_other = false;  ///< It is enough to know whether its output varies.
};

struct Outcome {
  int outputs = 0;  ///< Different ones.
  std::string output;
};

/// A compiler that answers; empty when there is none.
std::string find_compiler();

/// What each program printed, by name. Empty, with the compiler's words in `why`, when they do not
/// compile.
std::map<std::string, Outcome> run_compiled(Api api, const std::vector<Source>& sources, int seeds,
                                            std::string& why);

/// Kernel launches in CUDA's own syntax as calls of the fake device.
std::string without_chevrons(const std::string& text);

}  // namespace cajal::sync::testing
