#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/cases.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace cajal::testing {
namespace {

struct LossCase {
  std::int64_t rows = 1;
  std::int64_t vocab = 1;
  std::int64_t columns = 1;
  DType dtype = DType::f32;
  double masked = 0.0;  ///< Share of targets; 1 masks them all.
  double spread = 2.0;  ///< Of the logits.
  bool in_place = false;
  bool loss_only = false;
  bool perf = false;

  std::string name() const {
    return fmt::format("{}/N={}/V={}of{}/masked={}/spread={}{}{}", name_of(dtype), rows, vocab,
                       columns, masked, spread, in_place ? "/in_place" : "",
                       loss_only ? "/loss_only" : "");
  }
  /// Such that gradients, like the probabilities below them, come out near 1.
  double scale() const { return masked == 1.0 ? 0.0 : static_cast<double>(vocab) / 4.0; }
  TensorSpec targets() const {
    return {.name = "targets",
            .shape = {rows},
            .dtype = DType::i32,
            .fill = {.kind = Fill::Kind::integer,
                     .a = 0,
                     .b = static_cast<double>(vocab - 1),
                     .masked = masked}};
  }
  std::string gradient() const { return in_place ? "logits" : "dlogits"; }
};

/// Row n's loss before scaling; adds its gradient to `gradient` if there is one.
double row_loss(const LossCase& c, const Values& v, std::int64_t n, double* gradient) {
  const auto target = static_cast<std::int64_t>(v.at("targets")[n]);
  if (target == ops::kIgnoreTarget) return 0.0;
  const double* x = v.at("logits").data() + n * c.columns;
  const double largest = *std::max_element(x, x + c.vocab);
  double sum = 0.0;
  for (std::int64_t i = 0; i < c.vocab; ++i) sum += std::exp(x[i] - largest);
  const double log_sum = largest + std::log(sum);
  for (std::int64_t i = 0; gradient != nullptr && i < c.vocab; ++i) {
    const double log_p = x[i] - log_sum;
    gradient[i] = v.at("scale")[0] * (i == target ? std::expm1(log_p) : std::exp(log_p));
  }
  return log_sum - x[target];
}

double total_loss(const LossCase& c, const Values& v) {
  double loss = 0.0;
  for (std::int64_t n = 0; n < c.rows; ++n) loss += row_loss(c, v, n, nullptr);
  return v.at("scale")[0] * loss;
}

void reference(const LossCase& c, Values& v) {
  v.at("loss")[0] += total_loss(c, v);
  if (c.loss_only) return;
  std::vector<double> gradient(static_cast<std::size_t>(c.rows * c.columns), 0.0);
  for (std::int64_t n = 0; n < c.rows; ++n) row_loss(c, v, n, gradient.data() + n * c.columns);
  v[c.gradient()] = gradient;
}

OpCase loss_case(const LossCase& c) {
  OpCase r;
  r.operation = "cross_entropy";
  r.variant = c.name();
  const Shape shape{c.rows, c.columns};
  r.tensors = {
      {.name = "logits",
       .shape = shape,
       .dtype = c.dtype,
       .role = c.in_place ? Role::inout : Role::input,
       .fill = {.b = c.spread}},
      c.targets(),
      {.name = "scale", .shape = {1}, .fill = {.kind = Fill::Kind::constant, .a = c.scale()}},
      {.name = "loss", .shape = {1}, .role = Role::inout}};
  if (!c.in_place && !c.loss_only) {
    r.tensors.push_back(
        {.name = "dlogits", .shape = shape, .dtype = c.dtype, .role = Role::output});
  }
  r.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::cross_entropy(commands, {.logits = t.at("logits"),
                                  .targets = t.at("targets"),
                                  .scale = t.at("scale"),
                                  .loss = t.at("loss"),
                                  .dlogits = c.loss_only ? Tensor() : t.at(c.gradient()),
                                  .vocab = c.vocab});
  };
  r.reference = [c](Values& v) { reference(c, v); };
  r.bytes = static_cast<double>(c.rows * c.columns) * static_cast<double>(size_of(c.dtype)) *
            (c.loss_only ? 1.0 : 2.0);
  r.perf = c.perf;
  return r;
}

OpCase gradient_case(const LossCase& c) {
  OpCase r = loss_case(c);
  r.variant += "/gradient";
  r.tensors.push_back(
      {.name = "one", .shape = {1}, .fill = {.kind = Fill::Kind::constant, .a = 1.0}});
  r.gradcheck = {{.forward = [c](Values& v) { v["mean"] = {total_loss(c, v)}; },
                  .upstream = {{"mean", "one"}},
                  .gradients = {{"logits", "dlogits"}}}};
  return r;
}

/// The large shapes that the benchmark runs; too much for a reference at every test run.
OpCase perf_case(std::int64_t rows, std::int64_t vocab, std::int64_t columns, DType dtype) {
  OpCase r = loss_case({.rows = rows,
                        .vocab = vocab,
                        .columns = columns,
                        .dtype = dtype,
                        .in_place = true,
                        .perf = true});
  r.reference = nullptr;
  return r;
}

}  // namespace

std::vector<OpCase> cross_entropy_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    cases.push_back(loss_case({1, 1, 1, dtype}));
    cases.push_back(loss_case({7, 17, 17, dtype, 0.3}));
    cases.push_back(loss_case({7, 50, 64, dtype, 0.3, 2.0, true}));
    cases.push_back(loss_case({513, 1776, 1776, dtype, 0.1}));
    cases.push_back(loss_case({7, 50257, 50304, dtype, 0.3}));
    cases.push_back(loss_case({3, 50257, 50304, dtype, 0.0, 2.0, true}));
    cases.push_back(loss_case({7, 1775, 1776, dtype, 0.0, 2.0, false, true}));
    cases.push_back(loss_case({7, 50, 64, dtype, 1.0}));
    cases.push_back(loss_case({7, 50, 64, dtype, 1.0, 2.0, true}));
    cases.push_back(loss_case({7, 5000, 5008, dtype, 0.0, 200.0}));
    cases.push_back(gradient_case({7, 50, 64, dtype, 0.3}));
    cases.push_back(gradient_case({1, 17, 17, dtype}));
    cases.push_back(gradient_case({3, 1776, 1776, dtype}));
    cases.push_back(perf_case(2048, 1776, 1776, dtype));
    cases.push_back(perf_case(1024, 50257, 50304, dtype));
  }
  return cases;
}

}  // namespace cajal::testing
