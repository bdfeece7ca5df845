#include <fmt/format.h>

#include <cmath>

#include "ops/cases.h"
#include "ops/linear/linear.h"
#include "ops/reference_math.h"

namespace cajal::testing {
namespace {

using ops::WeightLayout;

struct LinearCase {
  std::int64_t rows = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
  DType dtype = DType::f32;
  WeightLayout layout = WeightLayout::in_out;
  DType y_dtype = DType::f32;
  bool bias = false;
  DType bias_dtype = DType::f32;
  bool gelu = false;
  bool accumulate = false;
  bool perf = false;

  /// Where weight [i,o] lies.
  std::size_t at(std::int64_t i, std::int64_t o) const {
    return static_cast<std::size_t>(layout == WeightLayout::in_out ? i * out + o : o * in + i);
  }
  Shape weight_shape() const {
    return layout == WeightLayout::in_out ? Shape{in, out} : Shape{out, in};
  }
  double flops() const { return 2.0 * static_cast<double>(rows * in * out); }
  std::string name() const {
    return fmt::format("{}/N={}/{}->{}/{}", name_of(dtype), rows, in, out,
                       layout == WeightLayout::in_out ? "in_out" : "out_in");
  }
  /// Keeps sums of `terms` products near 1, so that tolerances mean the same at every width.
  static Fill scaled(std::int64_t terms) {
    return {.b = 1.0 / std::sqrt(static_cast<double>(terms))};
  }
};

/// c[n,o] = sum_i a(n,i) b(i,o), summed row by row of b, which is fast enough for the large cases.
template <class A, class B>
std::vector<double> multiply(std::int64_t rows, std::int64_t inner, std::int64_t columns, A a,
                             B b) {
  std::vector<double> packed(static_cast<std::size_t>(inner * columns));
  for (std::int64_t i = 0; i < inner; ++i) {
    for (std::int64_t o = 0; o < columns; ++o) packed[i * columns + o] = b(i, o);
  }
  std::vector<double> c(static_cast<std::size_t>(rows * columns), 0.0);
  for (std::int64_t n = 0; n < rows; ++n) {
    double* sums = c.data() + n * columns;
    for (std::int64_t i = 0; i < inner; ++i) {
      const double factor = a(n, i);
      const double* row = packed.data() + i * columns;
      for (std::int64_t o = 0; o < columns; ++o) sums[o] += factor * row[o];
    }
  }
  return c;
}

/// Product and bias, before any GELU.
std::vector<double> affine(const LinearCase& c, const Values& v) {
  const auto& x = v.at("x");
  const auto& weight = v.at("weight");
  auto y = multiply(
      c.rows, c.in, c.out, [&](auto n, auto i) { return x[n * c.in + i]; },
      [&](auto i, auto o) { return weight[c.at(i, o)]; });
  if (!c.bias) return y;
  for (std::size_t k = 0; k < y.size(); ++k) y[k] += v.at("bias")[k % c.out];
  return y;
}

OpCase forward_case(const LinearCase& c) {
  OpCase result;
  result.operation = "linear";
  result.variant = fmt::format(
      "{}{}{}{}", c.name(), c.bias ? fmt::format("/bias={}", name_of(c.bias_dtype)) : "",
      c.gelu ? "/gelu" : "", c.y_dtype != c.dtype ? fmt::format("/to={}", name_of(c.y_dtype)) : "");
  result.tensors = {
      {.name = "x", .shape = {c.rows, c.in}, .dtype = c.dtype},
      {.name = "weight", .shape = c.weight_shape(), .dtype = c.dtype, .fill = c.scaled(c.in)},
      {.name = "y", .shape = {c.rows, c.out}, .dtype = c.y_dtype, .role = Role::output}};
  if (c.y_dtype != c.dtype && c.gelu) result.tensors.back().tolerance = 1.0 / 128.0;
  if (c.bias) result.tensors.push_back({.name = "bias", .shape = {c.out}, .dtype = c.bias_dtype});
  if (c.gelu) {
    result.tensors.push_back(
        {.name = "pre_gelu", .shape = {c.rows, c.out}, .dtype = c.dtype, .role = Role::output});
  }
  result.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::linear(commands, {.x = t.at("x"),
                           .weight = t.at("weight"),
                           .bias = c.bias ? t.at("bias") : Tensor{},
                           .y = t.at("y"),
                           .pre_gelu = c.gelu ? t.at("pre_gelu") : Tensor{},
                           .layout = c.layout});
  };
  result.reference = [c](Values& v) {
    v["y"] = affine(c, v);
    if (!c.gelu) return;
    v["pre_gelu"] = v["y"];
    for (double& y : v["y"]) y = gelu(y);
  };
  result.flops = c.flops();
  result.perf = c.perf;
  return result;
}

/// With `gelu`, the layer's input is x = gelu(pre_gelu), and dx is the gradient of pre_gelu.
OpCase backward_input_case(const LinearCase& c) {
  OpCase result;
  result.operation = "linear_backward_input";
  result.variant = c.name() + (c.gelu ? "/gelu" : "");
  result.tensors = {
      {.name = "dy", .shape = {c.rows, c.out}, .dtype = c.dtype},
      {.name = "weight", .shape = c.weight_shape(), .dtype = c.dtype, .fill = c.scaled(c.out)},
      {.name = "dx", .shape = {c.rows, c.in}, .dtype = c.dtype, .role = Role::output}};
  if (c.gelu) {
    result.tensors.push_back({.name = "pre_gelu", .shape = {c.rows, c.in}, .dtype = c.dtype});
  }
  result.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::linear_backward_input(commands, {.dy = t.at("dy"),
                                          .weight = t.at("weight"),
                                          .dx = t.at("dx"),
                                          .pre_gelu = c.gelu ? t.at("pre_gelu") : Tensor{},
                                          .layout = c.layout});
  };
  result.reference = [c](Values& v) {
    const auto& dy = v.at("dy");
    const auto& weight = v.at("weight");
    auto dx = multiply(
        c.rows, c.out, c.in, [&](auto n, auto o) { return dy[n * c.out + o]; },
        [&](auto o, auto i) { return weight[c.at(i, o)]; });
    for (std::size_t k = 0; c.gelu && k < dx.size(); ++k) dx[k] *= gelu_slope(v.at("pre_gelu")[k]);
    v["dx"] = std::move(dx);
  };
  result.flops = c.flops();
  result.perf = c.perf;
  return result;
}

OpCase backward_weight_case(const LinearCase& c) {
  const Role role = c.accumulate ? Role::inout : Role::output;
  OpCase result;
  result.operation = "linear_backward_weight";
  result.variant =
      fmt::format("{}{}{}", c.name(), c.bias ? "/bias" : "", c.accumulate ? "/accumulate" : "");
  result.tensors = {
      {.name = "x", .shape = {c.rows, c.in}, .dtype = c.dtype},
      {.name = "dy", .shape = {c.rows, c.out}, .dtype = c.dtype, .fill = c.scaled(c.rows)},
      {.name = "dweight", .shape = c.weight_shape(), .role = role}};
  if (c.bias) result.tensors.push_back({.name = "dbias", .shape = {c.out}, .role = role});
  result.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::linear_backward_weight(commands, {.x = t.at("x"),
                                           .dy = t.at("dy"),
                                           .dweight = t.at("dweight"),
                                           .dbias = c.bias ? t.at("dbias") : Tensor{},
                                           .accumulate = c.accumulate,
                                           .layout = c.layout});
  };
  result.reference = [c](Values& v) {
    const auto& x = v.at("x");
    const auto& dy = v.at("dy");
    const auto sums = multiply(
        c.in, c.rows, c.out, [&](auto i, auto n) { return x[n * c.in + i]; },
        [&](auto n, auto o) { return dy[n * c.out + o]; });
    auto& dweight = v["dweight"];
    dweight.resize(sums.size(), 0.0);
    for (std::int64_t i = 0; i < c.in; ++i) {
      for (std::int64_t o = 0; o < c.out; ++o) dweight[c.at(i, o)] += sums[i * c.out + o];
    }
    if (!c.bias) return;
    v["dbias"].resize(static_cast<std::size_t>(c.out), 0.0);
    for (std::size_t k = 0; k < dy.size(); ++k) v["dbias"][k % c.out] += dy[k];
  };
  result.flops = c.flops();
  result.perf = c.perf;
  return result;
}

/// The forward reference for gradients by input: weights are held, x = gelu(pre_gelu) on request.
GradCheck input_gradient(const LinearCase& c) {
  const std::string moved = c.gelu ? "pre_gelu" : "x";
  return {.forward =
              [c](Values& v) {
                if (c.gelu) {
                  v["x"] = v.at("pre_gelu");
                  for (double& x : v["x"]) x = gelu(x);
                }
                v["y"] = affine(c, v);
              },
          .upstream = {{"y", "dy"}},
          .gradients = {{moved, "dx"}}};
}

GradCheck weight_gradient(const LinearCase& c) {
  GradCheck check{.forward = [c](Values& v) { v["y"] = affine(c, v); },
                  .upstream = {{"y", "dy"}},
                  .gradients = {{"weight", "dweight"}}};
  if (c.bias) check.gradients["bias"] = "dbias";
  return check;
}

/// A small backward pair with gradient checks. Central differences need x, weight and bias, which
/// not every backward operation reads: the case carries them along.
void add_gradchecks(std::vector<OpCase>& cases, LinearCase c) {
  c.bias = false;
  OpCase input = backward_input_case(c);
  input.variant += "/gradcheck";
  if (!c.gelu) input.tensors.push_back({.name = "x", .shape = {c.rows, c.in}, .dtype = c.dtype});
  input.gradcheck = {input_gradient(c)};
  cases.push_back(std::move(input));

  c.bias = true;
  OpCase weight = backward_weight_case(c);
  weight.variant += "/gradcheck";
  weight.tensors.push_back({.name = "weight", .shape = c.weight_shape(), .dtype = c.dtype});
  weight.tensors.push_back({.name = "bias", .shape = {c.out}});
  weight.gradcheck = {weight_gradient(c)};
  cases.push_back(std::move(weight));
}

void add_all(std::vector<OpCase>& cases, const LinearCase& c) {
  cases.push_back(forward_case(c));
  cases.push_back(backward_input_case(c));
  cases.push_back(backward_weight_case(c));
}

void add_variants(std::vector<OpCase>& cases, LinearCase c) {
  add_all(cases, c);
  c.bias = c.gelu = c.accumulate = true;
  c.bias_dtype = c.dtype;
  add_all(cases, c);
  c.y_dtype = DType::f32;
  c.bias_dtype = DType::f32;
  if (c.dtype == DType::bf16) cases.push_back(forward_case(c));
  c.gelu = false;
  if (c.dtype == DType::bf16) cases.push_back(forward_case(c));
}

/// The model's own shapes: fused qkv, projection, feed-forward up and down, head. Checked at one
/// sequence, measured at one and at a batch of four.
void add_model_shapes(std::vector<OpCase>& cases, DType dtype, std::int64_t rows) {
  const std::size_t first = cases.size();
  LinearCase c{.rows = rows, .dtype = dtype, .y_dtype = dtype, .bias = true, .perf = true};
  for (const auto& [in, out, gelu] :
       {std::tuple{512, 1536, false}, {512, 512, false}, {512, 2048, true}, {2048, 512, false}}) {
    c.in = in;
    c.out = out;
    c.gelu = gelu;
    cases.push_back(forward_case(c));
    cases.push_back(backward_weight_case(c));
    c.gelu = in == 2048;  // Backward through the second feed-forward layer reaches the GELU.
    cases.push_back(backward_input_case(c));
  }
  c = {.rows = rows,
       .in = 512,
       .out = 1776,
       .dtype = dtype,
       .layout = WeightLayout::out_in,
       .y_dtype = dtype,
       .perf = true};
  add_all(cases, c);
  if (rows <= 512) return;
  for (std::size_t k = first; k < cases.size(); ++k) cases[k].reference = nullptr;
}

}  // namespace

std::vector<OpCase> linear_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const auto layout : {WeightLayout::in_out, WeightLayout::out_in}) {
      LinearCase c{.dtype = dtype, .layout = layout, .y_dtype = dtype};
      for (const auto& [rows, in, out] :
           {std::tuple{1, 50, 17}, {7, 17, 50}, {513, 50, 33}, {1030, 64, 17}, {3, 1, 1}}) {
        c.rows = rows;
        c.in = in;
        c.out = out;
        add_variants(cases, c);
      }
      for (const std::int64_t vocabulary : {1776, 50257}) {
        c.rows = 2;
        c.in = 17;
        c.out = vocabulary;
        add_all(cases, c);
      }
      c.rows = 5;
      c.in = 17;
      c.out = 10;
      for (const bool flag : {false, true}) {
        c.gelu = c.accumulate = flag;
        add_gradchecks(cases, c);
      }
    }
    for (const std::int64_t rows : {512, 2048}) add_model_shapes(cases, dtype, rows);
  }
  return cases;
}

}  // namespace cajal::testing
