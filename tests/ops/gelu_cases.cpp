#include <fmt/format.h>

#include "ops/cases.h"
#include "ops/gelu/gelu.h"
#include "ops/reference_math.h"

namespace cajal::testing {
namespace {

std::string variant(DType dtype, const Shape& shape, std::string_view suffix) {
  return fmt::format("{}/{}{}", name_of(dtype), to_string(shape), suffix);
}

void reference_forward(Values& v) {
  v["y"].clear();
  for (const double x : v.at("x")) v["y"].push_back(gelu(x));
}

OpCase forward_case(DType dtype, const Shape& shape, double spread) {
  OpCase c;
  c.operation = "gelu";
  c.variant = variant(dtype, shape, fmt::format("/spread={}", spread));
  c.tensors = {{.name = "x", .shape = shape, .dtype = dtype, .fill = {.b = spread}},
               {.name = "y", .shape = shape, .dtype = dtype, .role = Role::output}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) {
    ops::gelu(commands, {.x = t.at("x"), .y = t.at("y")});
  };
  c.reference = reference_forward;
  return c;
}

OpCase in_place_case(DType dtype) {
  OpCase c = forward_case(dtype, {7, 50}, 2.0);
  c.variant += "/in_place";
  c.tensors = {{.name = "x", .shape = {7, 50}, .dtype = dtype, .role = Role::inout}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) {
    ops::gelu(commands, {.x = t.at("x"), .y = t.at("x")});
  };
  c.reference = [](Values& v) {
    for (double& x : v.at("x")) x = gelu(x);
  };
  return c;
}

OpCase backward_case(DType dtype, const Shape& shape, double spread) {
  OpCase c;
  c.operation = "gelu_backward";
  c.variant = variant(dtype, shape, fmt::format("/spread={}", spread));
  c.tensors = {{.name = "x", .shape = shape, .dtype = dtype, .fill = {.b = spread}},
               {.name = "dy", .shape = shape, .dtype = dtype},
               {.name = "dx", .shape = shape, .dtype = dtype, .role = Role::output}};
  c.encode = [](CommandBuffer& commands, const Tensors& t) {
    ops::gelu_backward(commands, {.x = t.at("x"), .dy = t.at("dy"), .dx = t.at("dx")});
  };
  c.reference = [](Values& v) {
    const auto& x = v.at("x");
    v["dx"].resize(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) v["dx"][i] = v.at("dy")[i] * gelu_slope(x[i]);
  };
  c.gradcheck = {
      {.forward = reference_forward, .upstream = {{"y", "dy"}}, .gradients = {{"x", "dx"}}}};
  return c;
}

/// One layer's activations at 2048 rows; too many for a reference to be worth its time.
OpCase perf_case(OpCase c) {
  c.reference = nullptr;
  c.gradcheck.clear();
  c.perf = true;
  return c;
}

/// Zeros of both signs, where the tanh saturates, and where squares and cubes overflow.
Fill edges() {
  Fill fill;
  fill.kind = Fill::Kind::list;
  fill.values = {0.0,   -0.0, 1e-30, -1e-30, 5.0,   -5.0, 12.0,
                 -12.0, 1e3,  -1e3,  1e15,   -1e15, 1e30, -1e30};
  return fill;
}

}  // namespace

std::vector<OpCase> gelu_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Shape& shape : {Shape{1}, Shape{7, 17}, Shape{3, 513, 50}}) {
      cases.push_back(forward_case(dtype, shape, 2.0));
      cases.push_back(backward_case(dtype, shape, 2.0));
    }
    cases.push_back(in_place_case(dtype));
    cases.push_back(perf_case(forward_case(dtype, {2048, 2048}, 2.0)));
    cases.push_back(perf_case(backward_case(dtype, {2048, 2048}, 2.0)));
    cases.push_back(forward_case(dtype, {14}, 0.0));
    cases.back().variant += "/edges";
    cases.back().tensors.front().fill = edges();
    cases.push_back(backward_case(dtype, {14}, 0.0));
    cases.back().variant += "/edges";
    cases.back().tensors.front().fill = edges();
    cases.back().gradcheck.clear();
  }
  return cases;
}

}  // namespace cajal::testing
