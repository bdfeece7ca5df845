#include <fmt/format.h>

#include <cmath>

#include "ops/cases.h"
#include "ops/layer_norm/layer_norm.h"

namespace cajal::testing {
namespace {

constexpr double kEpsilon = 1e-5;

struct NormCase {
  std::int64_t rows = 1;
  std::int64_t width = 1;
  DType dtype = DType::f32;
  bool skip = false;        ///< Forward: a residual. Backward: a gradient past the norm (dsum).
  std::string alias = {};   ///< Output that takes an input's memory: its name.
  bool accumulate = false;  ///< Backward.
  double mean = 0.5;
  bool perf = false;
  bool branch = false;  ///< Backward: dbranch_bias.

  std::string name() const {
    return fmt::format("{}/N={}/C={}/mean={}{}{}{}{}", name_of(dtype), rows, width, mean,
                       skip ? "/skip" : "", alias.empty() ? "" : "/over_" + alias,
                       accumulate ? "/accumulate" : "", branch ? "/branch" : "");
  }
  TensorSpec rows_of(std::string tensor, Role role, double tolerance = 0.0) const {
    return {.name = std::move(tensor),
            .shape = {rows, width},
            .dtype = dtype,
            .role = role,
            .fill = {.a = mean},
            .tolerance = tolerance};
  }
  TensorSpec channels(std::string tensor, Role role, double tolerance = 0.0) const {
    return {.name = std::move(tensor),
            .shape = {width},
            .role = role,
            .fill = {.a = 1.0, .b = 0.5},
            .tolerance = tolerance};
  }
  TensorSpec statistic(std::string tensor, Role role) const {
    // rstd reaches 1 / sqrt(epsilon), and there hangs on every bit of a small variance.
    return {.name = std::move(tensor), .shape = {rows}, .role = role, .tolerance = 1e-4};
  }
  std::size_t elements() const { return static_cast<std::size_t>(rows * width); }
};

struct Statistics {
  double mean = 0.0;
  double rstd = 0.0;
};

Statistics statistics(const double* s, std::int64_t width) {
  double mean = 0.0;
  double variance = 0.0;
  for (std::int64_t i = 0; i < width; ++i) mean += s[i] / static_cast<double>(width);
  for (std::int64_t i = 0; i < width; ++i) {
    variance += (s[i] - mean) * (s[i] - mean) / static_cast<double>(width);
  }
  return {mean, 1.0 / std::sqrt(variance + kEpsilon)};
}

/// y, mean and rstd of v[s].
void normalise(const NormCase& c, Values& v, const std::string& s) {
  auto& y = v["y"];
  auto& mean = v["mean"];
  auto& rstd = v["rstd"];
  y.assign(c.elements(), 0.0);
  mean.assign(static_cast<std::size_t>(c.rows), 0.0);
  rstd.assign(static_cast<std::size_t>(c.rows), 0.0);
  for (std::int64_t n = 0; n < c.rows; ++n) {
    const double* row = v.at(s).data() + n * c.width;
    const auto [m, r] = statistics(row, c.width);
    mean[n] = m;
    rstd[n] = r;
    for (std::int64_t i = 0; i < c.width; ++i) {
      y[n * c.width + i] = (row[i] - m) * r * v.at("weight")[i] + v.at("bias")[i];
    }
  }
}

/// What a tensor of this type holds of `value`.
double stored(double value, DType dtype) {
  const auto single = static_cast<float>(value);
  return static_cast<double>(dtype == DType::bf16 ? static_cast<float>(bfloat16(single)) : single);
}

void reference_forward(const NormCase& c, Values& v) {
  if (!c.skip) {
    normalise(c, v, "x");
    return;
  }
  const std::string sum = c.alias.empty() ? "sum" : c.alias;
  std::vector<double> s(c.elements());
  for (std::size_t i = 0; i < s.size(); ++i) {
    s[i] = stored(v.at("x")[i] + v.at("residual")[i], c.dtype);
  }
  v[sum] = s;
  normalise(c, v, sum);
}

OpCase forward_case(const NormCase& c) {
  OpCase r;
  r.operation = "layer_norm";
  r.variant = c.name();
  // Where the mean is far from 0 its rounding shows in y.
  const double tolerance = c.dtype == DType::f32 ? 2e-5 * (1.0 + std::abs(c.mean)) : 0.0;
  r.tensors = {c.rows_of("x", c.alias == "x" ? Role::inout : Role::input),
               c.channels("weight", Role::input),
               c.channels("bias", Role::input),
               c.rows_of("y", Role::output, tolerance),
               c.statistic("mean", Role::output),
               c.statistic("rstd", Role::output)};
  if (c.skip) {
    r.tensors.push_back(c.rows_of("residual", c.alias == "residual" ? Role::inout : Role::input));
  }
  if (c.skip && c.alias.empty()) r.tensors.push_back(c.rows_of("sum", Role::output));
  r.encode = [c](CommandBuffer& commands, const Tensors& t) {
    const std::string sum = c.alias.empty() ? "sum" : c.alias;
    ops::layer_norm(commands, {.x = t.at("x"),
                               .residual = c.skip ? t.at("residual") : Tensor(),
                               .weight = t.at("weight"),
                               .bias = t.at("bias"),
                               .y = t.at("y"),
                               .sum = c.skip ? t.at(sum) : Tensor(),
                               .mean = t.at("mean"),
                               .rstd = t.at("rstd"),
                               .epsilon = static_cast<float>(kEpsilon)});
  };
  r.reference = [c](Values& v) { reference_forward(c, v); };
  r.bytes = static_cast<double>(c.elements() * size_of(c.dtype) * (c.skip ? 4 : 2));
  r.perf = c.perf;
  return r;
}

void add_row_gradient(const NormCase& c, Values& v, std::int64_t n, std::vector<double>& ds) {
  const double* dy = v.at("dy").data() + n * c.width;
  const double* s = v.at("sum").data() + n * c.width;
  const auto& weight = v.at("weight");
  const double mean = v.at("mean")[n];
  const double rstd = v.at("rstd")[n];
  double mean_g = 0.0;
  double mean_g_xhat = 0.0;
  for (std::int64_t i = 0; i < c.width; ++i) {
    const double xhat = (s[i] - mean) * rstd;
    mean_g += dy[i] * weight[i] / static_cast<double>(c.width);
    mean_g_xhat += dy[i] * weight[i] * xhat / static_cast<double>(c.width);
    v.at("dweight")[i] += dy[i] * xhat;
    v.at("dbias")[i] += dy[i];
  }
  for (std::int64_t i = 0; i < c.width; ++i) {
    const double xhat = (s[i] - mean) * rstd;
    ds[n * c.width + i] += rstd * (dy[i] * weight[i] - mean_g - xhat * mean_g_xhat);
  }
}

void reference_backward(const NormCase& c, Values& v) {
  std::vector<double> ds = c.skip ? v.at("dsum") : std::vector<double>(c.elements(), 0.0);
  if (!c.accumulate) {
    v["dweight"].assign(static_cast<std::size_t>(c.width), 0.0);
    v["dbias"].assign(static_cast<std::size_t>(c.width), 0.0);
  }
  for (std::int64_t n = 0; n < c.rows; ++n) add_row_gradient(c, v, n, ds);
  if (c.branch && !c.accumulate) {
    v["dbranch_bias"].assign(static_cast<std::size_t>(c.width), 0.0);
  }
  for (std::size_t i = 0; c.branch && i < ds.size(); ++i) {
    v.at("dbranch_bias")[i % static_cast<std::size_t>(c.width)] += ds[i];
  }
  v[c.alias.empty() ? "ds" : c.alias] = ds;
}

/// Forward as the gradient check sees it: s, with the branch's bias added, is the input, and also
/// goes on past the norm.
void forward_of_sum(const NormCase& c, Values& v) {
  v["past"] = v.at("sum");
  for (std::size_t i = 0; c.branch && i < c.elements(); ++i) {
    v["past"][i] += v.at("branch_bias")[i % static_cast<std::size_t>(c.width)];
  }
  normalise(c, v, "past");
}

OpCase backward_case(const NormCase& c) {
  OpCase r;
  r.operation = "layer_norm_backward";
  r.variant = c.name();
  const Role parameter = c.accumulate ? Role::inout : Role::output;
  const double sums = 1e-4;
  r.tensors = {c.rows_of("dy", c.alias == "dy" ? Role::inout : Role::input),
               c.rows_of("sum", Role::input),
               c.channels("weight", Role::input),
               c.channels("bias", Role::input),
               c.statistic("mean", Role::input),
               c.statistic("rstd", Role::input),
               c.channels("dweight", parameter, sums),
               c.channels("dbias", parameter, sums)};
  if (c.skip) r.tensors.push_back(c.rows_of("dsum", c.alias == "dsum" ? Role::inout : Role::input));
  if (c.alias.empty()) {
    r.tensors.push_back(c.rows_of("ds", Role::output, c.dtype == DType::f32 ? sums : 0.0));
  }
  if (c.branch) {
    // Already part of the sum; there for the gradient check to vary.
    r.tensors.push_back(c.channels("branch_bias", Role::input));
    r.tensors.back().fill = {.kind = Fill::Kind::constant, .a = 0.0};
    r.tensors.push_back(c.channels("dbranch_bias", parameter, sums));
  }
  r.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::layer_norm_backward(commands, {.dy = t.at("dy"),
                                        .sum = t.at("sum"),
                                        .weight = t.at("weight"),
                                        .mean = t.at("mean"),
                                        .rstd = t.at("rstd"),
                                        .dsum = c.skip ? t.at("dsum") : Tensor(),
                                        .ds = t.at(c.alias.empty() ? "ds" : c.alias),
                                        .dweight = t.at("dweight"),
                                        .dbias = t.at("dbias"),
                                        .dbranch_bias = c.branch ? t.at("dbranch_bias") : Tensor(),
                                        .accumulate = c.accumulate});
  };
  r.reference = [c](Values& v) { reference_backward(c, v); };
  GradCheck check{.forward = [c](Values& v) { forward_of_sum(c, v); },
                  .upstream = {{"y", "dy"}},
                  .gradients = {{"weight", "dweight"}, {"bias", "dbias"}}};
  if (c.skip) check.upstream["past"] = "dsum";
  if (c.alias.empty()) check.gradients["sum"] = "ds";
  if (c.branch) check.gradients["branch_bias"] = "dbranch_bias";
  r.gradcheck = {std::move(check)};
  r.bytes = static_cast<double>(c.elements() * size_of(c.dtype) * (c.skip ? 4 : 3));
  r.perf = c.perf;
  return r;
}

}  // namespace

std::vector<OpCase> layer_norm_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t rows : {1, 7, 513}) {
      for (const std::int64_t width : {1, 17, 50, 768}) {
        const bool skip = (rows + width) % 2 == 0;
        cases.push_back(forward_case({rows, width, dtype, skip}));
        // One channel: statistics with nothing behind them, 316 times amplified; compared only.
        cases.push_back(backward_case({rows, width, dtype, !skip}));
        if (width == 1) cases.back().gradcheck.clear();
      }
    }
    cases.push_back(forward_case({7, 50, dtype, true, "x"}));
    cases.push_back(forward_case({33, 129, dtype, true, "residual"}));
    cases.push_back(forward_case({33, 129, dtype, false, {}, false, 50.0}));
    cases.push_back(backward_case({7, 50, dtype, true, "dsum"}));
    cases.push_back(backward_case({65, 129, dtype, true, "dy", true}));
    cases.push_back(backward_case({65, 17, dtype, false, "dy"}));
    cases.push_back(backward_case({513, 64, dtype, true, {}, true}));
    cases.push_back(backward_case({7, 50, dtype, true, {}, false, 0.5, false, true}));
    cases.push_back(backward_case({65, 129, dtype, true, "dsum", true, 0.5, false, true}));
    cases.push_back(backward_case({513, 64, dtype, false, {}, true, 0.5, false, true}));
    cases.push_back(backward_case({37, 768, dtype, true, "dsum", false, 0.5, false, true}));
    for (const std::int64_t width : {1600, 2052, 4100}) {
      cases.push_back(backward_case({5, width, dtype, true, {}, false, 0.5, false, true}));
      cases.back().gradcheck.clear();
    }
    cases.push_back(forward_case({2048, 512, dtype, true, {}, false, 0.5, true}));
    for (const bool branch : {false, true}) {
      cases.push_back(backward_case({2048, 512, dtype, true, {}, true, 0.5, true, branch}));
      cases.back().gradcheck.clear();
    }
  }
  return cases;
}

}  // namespace cajal::testing
