#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/cases.h"
#include "ops/philox.h"
#include "ops/sampling/sampling.h"

namespace cajal::testing {
namespace {

struct SamplingCase {
  std::int64_t batch = 1;
  std::int64_t vocab = 1;
  std::int64_t columns = 1;
  DType dtype = DType::f32;
  ops::SamplingOptions options{};
  bool advance = true;  ///< next_position over position.
  bool perf = false;

  std::string name() const {
    return fmt::format("{}/B={}/V={}of{}/t={}/k={}/p={}", name_of(dtype), batch, vocab, columns,
                       options.temperature, options.top_k, options.top_p);
  }
};

double uniform(const Values& v, std::int64_t row) {
  const auto word = [](double x) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(x));
  };
  const auto words = ops::philox4x32({word(v.at("position")[0]), static_cast<std::uint32_t>(row)},
                                     {word(v.at("seed")[0]), word(v.at("seed")[1])});
  return (words[0] * 0x1p21 + (words[1] >> 11)) * 0x1p-53;
}

std::int64_t sample_row(const SamplingCase& c, const double* logits, double u) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(c.vocab));
  std::iota(ids.begin(), ids.end(), 0);
  const auto likelier = [&](auto a, auto b) { return logits[a] > logits[b]; };
  const std::int64_t best = *std::min_element(ids.begin(), ids.end(), likelier);
  if (c.options.temperature == 0.0F) return best;
  const auto weight = [&](std::int64_t id) {
    return std::exp((logits[id] - logits[best]) / double{c.options.temperature});
  };
  const auto total = [&] {
    return std::accumulate(ids.begin(), ids.end(), 0.0,
                           [&](double sum, auto id) { return sum + weight(id); });
  };
  const bool top_k = c.options.top_k > 0 && c.options.top_k < c.vocab;
  if (top_k || c.options.top_p < 1.0F) {
    std::stable_sort(ids.begin(), ids.end(), likelier);
    if (top_k) ids.resize(static_cast<std::size_t>(c.options.top_k));
    const double wanted = double{c.options.top_p} * total();
    double sum = 0.0;
    std::size_t kept = 0;
    while (kept < ids.size() && sum < wanted) sum += weight(ids[kept++]);
    ids.resize(kept);
  }
  const double wanted = u * total();
  double sum = 0.0;
  for (const auto id : ids) {
    sum += weight(id);
    if (sum > wanted) return id;
  }
  return ids.back();
}

OpCase sampling_case(const SamplingCase& c) {
  OpCase r;
  r.operation = "sample";
  r.variant = c.name();
  r.tensors = {
      {.name = "logits", .shape = {c.batch, c.columns}, .dtype = c.dtype, .fill = {.b = 3.0}},
      {.name = "seed",
       .shape = {2},
       .dtype = DType::i32,
       .fill = {.kind = Fill::Kind::integer, .a = -2147483648.0, .b = 2147483647.0}},
      {.name = "position",
       .shape = {1},
       .dtype = DType::i32,
       .role = c.advance ? Role::inout : Role::input,
       .fill = {.kind = Fill::Kind::integer, .a = 0, .b = 1023}},
      {.name = "token", .shape = {c.batch}, .dtype = DType::i32, .role = Role::output}};
  r.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::sample(commands, {.logits = t.at("logits"),
                           .seed = t.at("seed"),
                           .position = t.at("position"),
                           .token = t.at("token"),
                           .next_position = c.advance ? t.at("position") : Tensor(),
                           .vocab = c.vocab,
                           .options = c.options});
  };
  r.reference = [c](Values& v) {
    auto& token = v["token"];
    token.clear();
    for (std::int64_t b = 0; b < c.batch; ++b) {
      const double* row = v.at("logits").data() + b * c.columns;
      token.push_back(static_cast<double>(sample_row(c, row, uniform(v, b))));
    }
    if (c.advance) v.at("position")[0] += 1;
  };
  r.perf = c.perf;
  return r;
}

}  // namespace

std::vector<OpCase> sampling_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    cases.push_back(sampling_case({1, 1, 1, dtype}));
    cases.push_back(sampling_case({7, 17, 32, dtype, {.temperature = 0.0F}}));
    cases.push_back(sampling_case({2, 50257, 50304, dtype, {.temperature = 0.0F}, false}));
    cases.push_back(sampling_case({7, 50, 50, dtype, {.temperature = 1.0F}}));
    cases.push_back(sampling_case({7, 50, 64, dtype, {.temperature = 0.7F, .top_k = 5}}));
    cases.push_back(sampling_case({7, 50, 64, dtype, {.temperature = 1.3F, .top_p = 0.8F}}));
    cases.push_back(
        sampling_case({3, 1776, 1776, dtype, {.temperature = 2.0F, .top_p = 0.95F}, false}));
    cases.push_back(sampling_case({2, 50257, 50304, dtype, {.top_k = 50, .top_p = 0.9F}}));
    cases.push_back(sampling_case({3, 17, 17, dtype, {.top_k = 100}}));
  }
  cases.push_back(sampling_case({1, 50257, 50304, DType::f32, {.top_k = 51, .top_p = 0.9F}}));
  cases.back().perf = true;
  cases.push_back(sampling_case({1, 50257, 50304, DType::f32, {.temperature = 0.8F}}));
  cases.back().perf = true;
  cases.back().reference = nullptr;
  return cases;
}

}  // namespace cajal::testing
