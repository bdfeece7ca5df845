#include <iterator>

#include "ops/cases.h"

namespace cajal::testing {

std::vector<OpCase> all_cases() {
  std::vector<OpCase> all;
  for (auto* const make : {linear_cases, attention_cases, gelu_cases, embedding_cases,
                           layer_norm_cases, cross_entropy_cases, dropout_cases, global_norm_cases,
                           adamw_cases, fill_cases, sampling_cases}) {
    auto cases = make();
    all.insert(all.end(), std::make_move_iterator(cases.begin()),
               std::make_move_iterator(cases.end()));
  }
  return all;
}

}  // namespace cajal::testing
