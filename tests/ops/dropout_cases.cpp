#include <fmt/format.h>

#include "ops/cases.h"
#include "ops/dropout/dropout.h"
#include "ops/philox.h"

namespace cajal::testing {
namespace {

struct DropoutCase {
  std::int64_t n = 1;
  DType dtype = DType::f32;
  float probability = 0.1F;
  bool in_place = false;
  std::uint32_t stream = 5;

  std::string name() const {
    return fmt::format("{}/n={}/p={}/stream={}{}", name_of(dtype), n, probability, stream,
                       in_place ? "/in_place" : "");
  }
};

void reference(const DropoutCase& c, Values& v) {
  std::vector<double> y = v.at("x");
  const auto word_of = [&](const char*, std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(v.at("seed")[i]));
  };
  const ops::PhiloxKey key{word_of("seed", 0), word_of("seed", 1)};
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto words = ops::philox4x32({static_cast<std::uint32_t>(i / 4), 0, c.stream, 0}, key);
    const bool kept = ops::philox_uniform(words[i % 4]) >= c.probability;
    y[i] = kept ? y[i] / (1.0 - double{c.probability}) : 0.0;
  }
  v[c.in_place ? "x" : "y"] = y;
}

OpCase dropout_case(const DropoutCase& c) {
  OpCase r;
  r.operation = "dropout";
  r.variant = c.name();
  r.tensors = {{.name = "x",
                .shape = {c.n},
                .dtype = c.dtype,
                .role = c.in_place ? Role::inout : Role::input},
               {.name = "seed",
                .shape = {2},
                .dtype = DType::i32,
                .fill = {.kind = Fill::Kind::integer, .a = -2147483648.0, .b = 2147483647.0}}};
  if (!c.in_place) {
    r.tensors.push_back({.name = "y", .shape = {c.n}, .dtype = c.dtype, .role = Role::output});
  }
  r.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::dropout(commands, {.x = t.at("x"),
                            .y = t.at(c.in_place ? "x" : "y"),
                            .seed = t.at("seed"),
                            .stream = c.stream,
                            .probability = c.probability});
  };
  r.reference = [c](Values& v) { reference(c, v); };
  r.bytes = static_cast<double>(c.n) * static_cast<double>(2 * size_of(c.dtype));
  return r;
}

}  // namespace

std::vector<OpCase> dropout_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t n : {1, 7, 129, 40001}) cases.push_back(dropout_case({n, dtype}));
    cases.push_back(dropout_case({513, dtype, 0.0F}));
    cases.push_back(dropout_case({513, dtype, 0.999F}));
    cases.push_back(dropout_case({40001, dtype, 0.5F, true, 0xffffffffU}));
    cases.push_back(dropout_case({2048 * 512, dtype, 0.1F, true}));
    cases.back().perf = true;
  }
  return cases;
}

}  // namespace cajal::testing
