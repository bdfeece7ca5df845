#include <fmt/format.h>

#include "ops/cases.h"
#include "ops/fill/fill.h"

namespace cajal::testing {
namespace {

OpCase zero_case(DType dtype, std::int64_t n, bool perf = false) {
  OpCase c;
  c.operation = "zero";
  c.variant = fmt::format("{}/n={}", name_of(dtype), n);
  c.tensors = {{.name = "x", .shape = {n}, .dtype = dtype, .role = Role::output}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) { ops::zero(commands, t.at("x")); };
  if (!perf) {
    c.reference = [n](Values& v) { v["x"].assign(static_cast<std::size_t>(n), 0.0); };
  }
  c.perf = perf;
  return c;
}

OpCase convert_case(DType from, DType to, std::int64_t n, bool perf = false) {
  OpCase c;
  c.operation = "convert";
  c.variant = fmt::format("{}_{}/n={}", name_of(from), name_of(to), n);
  // The least tolerance there is: rounding must be to the nearest, as in the harness.
  c.tensors = {
      {.name = "from", .shape = {n}, .dtype = from},
      {.name = "to", .shape = {n}, .dtype = to, .role = Role::output, .tolerance = 1e-300}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) {
    ops::convert(commands, t.at("from"), t.at("to"));
  };
  if (!perf) {
    c.reference = [to](Values& v) {
      v["to"].clear();
      for (const double x : v.at("from")) {
        const auto single = static_cast<float>(x);
        v["to"].push_back(
            double{to == DType::bf16 ? static_cast<float>(bfloat16(single)) : single});
      }
    };
  }
  c.perf = perf;
  return c;
}

}  // namespace

std::vector<OpCase> fill_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16, DType::i32}) {
    for (const std::int64_t n : {1, 17, 100003}) cases.push_back(zero_case(dtype, n));
  }
  cases.push_back(zero_case(DType::f32, 20'000'000, true));
  for (const DType from : {DType::f32, DType::bf16}) {
    for (const DType to : {DType::f32, DType::bf16}) {
      for (const std::int64_t n : {1, 17, 100003}) cases.push_back(convert_case(from, to, n));
    }
  }
  cases.push_back(convert_case(DType::f32, DType::bf16, 4 << 20, true));
  // Halfway between two neighbours, infinity, NaN, the largest that overflows.
  cases.push_back(convert_case(DType::f32, DType::bf16, 8));
  cases.back().variant += "/edges";
  cases.back().tensors.front().fill = {
      .kind = Fill::Kind::list,
      .values = {1.00390625, 1.01171875, -1.00390625, 1e39, -1e39,
                 0.0 / std::numeric_limits<double>::infinity(),
                 std::numeric_limits<double>::quiet_NaN(), 3.4e38}};
  return cases;
}

}  // namespace cajal::testing
