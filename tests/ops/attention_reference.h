// Attention in float64, written as the formula stands.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

namespace cajal::testing {

/// Element (token, feature) of one head.
struct HeadMatrix {
  double* data = nullptr;
  std::int64_t stride = 0;
  double& operator()(std::int64_t t, std::int64_t i) const { return data[t * stride + i]; }
};

/// The factor, 0 or 1 / (1 - p), of the probability of (query, key).
using DropoutFactor = std::function<double(std::int64_t, std::int64_t)>;

/// softmax of one query's scores over keys [0, keys); gives the logarithm of the sum as well.
inline double probabilities_of(const HeadMatrix& q, const HeadMatrix& k, std::int64_t query,
                               std::int64_t keys, std::int64_t width, std::vector<double>& p) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  p.assign(static_cast<std::size_t>(keys), 0.0);
  for (std::int64_t j = 0; j < keys; ++j) {
    for (std::int64_t i = 0; i < width; ++i) p[j] += q(query, i) * k(j, i) * scale;
  }
  const double max = *std::max_element(p.begin(), p.end());
  double sum = 0.0;
  for (double& x : p) sum += x = std::exp(x - max);
  for (double& x : p) x /= sum;
  return max + std::log(sum);
}

struct HeadForward {
  HeadMatrix q, k, v, out;
  double* lse = nullptr;  ///< Optional.
  std::int64_t tokens = 0;
  std::int64_t position = 0;  ///< Keys before the first query's own.
  std::int64_t width = 0;
  DropoutFactor factor;
};

inline void reference_forward(const HeadForward& h) {
  std::vector<double> p;
  for (std::int64_t t = 0; t < h.tokens; ++t) {
    const std::int64_t keys = h.position + t + 1;
    const double lse = probabilities_of(h.q, h.k, t, keys, h.width, p);
    if (h.lse != nullptr) h.lse[t] = lse;
    for (std::int64_t i = 0; i < h.width; ++i) h.out(t, i) = 0.0;
    for (std::int64_t j = 0; j < keys; ++j) {
      const double weight = p[j] * h.factor(t, j);
      for (std::int64_t i = 0; i < h.width; ++i) h.out(t, i) += weight * h.v(j, i);
    }
  }
}

struct HeadBackward {
  HeadMatrix q, k, v, dout, dq, dk, dv;  ///< Gradients are added to.
  std::int64_t tokens = 0;
  std::int64_t width = 0;
  DropoutFactor factor;
};

inline void reference_backward(const HeadBackward& h) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(h.width));
  std::vector<double> p;
  for (std::int64_t t = 0; t < h.tokens; ++t) {
    probabilities_of(h.q, h.k, t, t + 1, h.width, p);
    std::vector<double> dp(p.size(), 0.0);
    double mean = 0.0;
    for (std::int64_t j = 0; j <= t; ++j) {
      const double factor = h.factor(t, j);
      for (std::int64_t i = 0; i < h.width; ++i) {
        dp[j] += h.dout(t, i) * h.v(j, i) * factor;
        h.dv(j, i) += p[j] * factor * h.dout(t, i);
      }
      mean += p[j] * dp[j];
    }
    for (std::int64_t j = 0; j <= t; ++j) {
      const double ds = p[j] * (dp[j] - mean) * scale;
      for (std::int64_t i = 0; i < h.width; ++i) {
        h.dq(t, i) += ds * h.k(j, i);
        h.dk(j, i) += ds * h.q(t, i);
      }
    }
  }
}

}  // namespace cajal::testing
