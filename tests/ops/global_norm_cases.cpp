#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ops/cases.h"
#include "ops/global_norm/global_norm.h"

namespace cajal::testing {
namespace {

OpCase norm_case(std::int64_t n, double spread) {
  OpCase c;
  c.operation = "global_norm";
  c.variant = fmt::format("n={}/spread={}", n, spread);
  c.tensors = {
      {.name = "x", .shape = {n}, .fill = {.b = spread}},
      // Half a unit in the last place of the result, and the sum of the roundings below it.
      {.name = "norm", .shape = {1}, .role = Role::output, .tolerance = 1e-7}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) {
    ops::global_norm(commands, {.x = t.at("x"), .norm = t.at("norm")});
  };
  c.reference = [](Values& v) {
    double sum = 0.0;
    for (const double x : v.at("x")) sum += x * x;
    v["norm"] = {std::sqrt(sum)};
  };
  return c;
}

/// A value that is not finite, in the middle of ordinary ones.
OpCase broken_case(double value, const char* name) {
  OpCase c = norm_case(40001, 1.0);
  c.variant += fmt::format("/{}", name);
  Fill fill{.kind = Fill::Kind::list};
  fill.values.assign(40001, 0.5);
  fill.values[39000] = value;
  c.tensors.front().fill = fill;
  return c;
}

}  // namespace

std::vector<OpCase> global_norm_cases() {
  std::vector<OpCase> cases;
  for (const std::int64_t n : {1, 17, 513, 16384, 100003}) cases.push_back(norm_case(n, 1.0));
  cases.push_back(norm_case(100003, 1e30));  // Squares overflow f32.
  cases.back().variant += "/large";
  cases.push_back(norm_case(100003, 1e-30));  // Squares underflow it.
  cases.back().variant += "/small";
  cases.push_back(broken_case(std::numeric_limits<double>::quiet_NaN(), "nan"));
  cases.push_back(broken_case(std::numeric_limits<double>::infinity(), "infinity"));
  cases.push_back(norm_case(20'000'000, 1.0));
  cases.back().tensors.front().fill = {.kind = Fill::Kind::constant, .a = 1.0};
  cases.back().reference = nullptr;
  cases.back().perf = true;
  return cases;
}

}  // namespace cajal::testing
