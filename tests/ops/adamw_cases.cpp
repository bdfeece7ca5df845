#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/adamw/adamw.h"
#include "ops/cases.h"

namespace cajal::testing {
namespace {

struct AdamWCase {
  std::int64_t n = 1;
  std::int64_t decayed = 0;
  bool compute = false;
  double norm = 3.0;
  double clip = 1.0;
  double applied = 4;
  double skipped_in_row = 0;

  std::string name() const {
    return fmt::format("n={}/decayed={}/norm={}/clip={}/t={}{}", n, decayed, norm, clip, applied,
                       compute ? "/bf16" : "");
  }
};

// Values near 1 and a learning rate of 0.1, so that every term of the update shows.
const std::vector<double> kHyper{0.1, 0.9, 0.95, 1e-8, 0.1, 1.0};

void reference(const AdamWCase& c, Values& v) {
  auto& state = v.at("state");
  const double norm = v.at("norm")[0];
  auto& param = v.at("param");
  if (!std::isfinite(norm)) {
    state[1] += 1;
    state[2] += 1;
    // The weights for the next forward pass stay what they were: poison.
    if (c.compute) v["compute"].assign(param.size(), std::nan(""));
    return;
  }
  state[0] += 1;
  state[2] = 0;
  const auto& hyper = v.at("hyper");
  const double lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], epsilon = hyper[3];
  const double scale = hyper[5] > 0 ? std::min(1.0, hyper[5] / norm) : 1.0;
  for (std::size_t i = 0; i < param.size(); ++i) {
    const double g = v.at("grad")[i] * scale;
    double& m = v.at("m")[i];
    double& w = v.at("v")[i];
    m = beta1 * m + (1 - beta1) * g;
    w = beta2 * w + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, state[0]));
    const double v_hat = w / (1 - std::pow(beta2, state[0]));
    const double decay = static_cast<std::int64_t>(i) < c.decayed ? hyper[4] : 0.0;
    param[i] -= lr * (m_hat / (std::sqrt(v_hat) + epsilon) + decay * param[i]);
  }
  if (c.compute) v["compute"] = param;
}

OpCase adamw_case(const AdamWCase& c) {
  OpCase r;
  r.operation = "adamw";
  r.variant = c.name();
  auto hyper = kHyper;
  hyper[5] = c.clip;
  const double tolerance = 2e-6;
  r.tensors = {{.name = "param", .shape = {c.n}, .role = Role::inout, .tolerance = tolerance},
               {.name = "grad", .shape = {c.n}},
               {.name = "m", .shape = {c.n}, .role = Role::inout, .tolerance = tolerance},
               {.name = "v",
                .shape = {c.n},
                .role = Role::inout,
                .fill = {.a = 1.0, .b = 0.1},
                .tolerance = tolerance},
               {.name = "norm", .shape = {1}, .fill = {.kind = Fill::Kind::constant, .a = c.norm}},
               {.name = "hyper",
                .shape = {static_cast<std::int64_t>(hyper.size())},
                .fill = {.kind = Fill::Kind::list, .values = hyper}},
               {.name = "state",
                .shape = {3},
                .dtype = DType::i32,
                .role = Role::inout,
                .fill = {.kind = Fill::Kind::list, .values = {c.applied, 2, c.skipped_in_row}}}};
  if (c.compute) {
    r.tensors.push_back(
        {.name = "compute", .shape = {c.n}, .dtype = DType::bf16, .role = Role::output});
  }
  r.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::adamw(commands, {.param = t.at("param"),
                          .grad = t.at("grad"),
                          .m = t.at("m"),
                          .v = t.at("v"),
                          .compute = c.compute ? t.at("compute") : Tensor(),
                          .norm = t.at("norm"),
                          .hyper = t.at("hyper"),
                          .state = t.at("state"),
                          .decayed = c.decayed});
  };
  r.reference = [c](Values& v) { reference(c, v); };
  r.bytes = static_cast<double>(c.n) * (c.compute ? 30 : 28);
  return r;
}

OpCase perf_case(bool compute) {
  OpCase r = adamw_case({20'000'000, 19'000'000, compute});
  for (TensorSpec& spec : r.tensors) {
    if (spec.fill.kind == Fill::Kind::normal) spec.fill = {.kind = Fill::Kind::constant, .a = 0.01};
  }
  r.reference = nullptr;
  r.perf = true;
  return r;
}

}  // namespace

std::vector<OpCase> adamw_cases() {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<OpCase> cases;
  for (const bool compute : {false, true}) {
    cases.push_back(adamw_case({1, 0, compute}));
    cases.push_back(adamw_case({17, 17, compute}));
    cases.push_back(adamw_case({40001, 20003, compute, 3.0, 1.0, 0}));
    cases.push_back(adamw_case({513, 100, compute, 3.0, 0.0}));            // Clipping off.
    cases.push_back(adamw_case({513, 100, compute, 0.5, 1.0, 10000, 3}));  // Below the clip.
    cases.push_back(adamw_case({513, 100, compute, 0.0}));
    cases.push_back(adamw_case({513, 100, compute, infinity, 1.0, 4, 1}));
    cases.push_back(adamw_case({513, 100, compute, std::nan(""), 0.0, 0, 0}));
    cases.push_back(perf_case(compute));
  }
  return cases;
}

}  // namespace cajal::testing
