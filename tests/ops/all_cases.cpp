#include <iterator>

#include "ops/cases.h"

namespace cajal::testing {

std::vector<OpCase> all_cases() {
  std::vector<OpCase> all;
  for (auto* const make : {linear_cases, gelu_cases}) {
    auto cases = make();
    all.insert(all.end(), std::make_move_iterator(cases.begin()),
               std::make_move_iterator(cases.end()));
  }
  return all;
}

}  // namespace cajal::testing
