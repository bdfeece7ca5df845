// AdamW over several steps, and what becomes of dead weights.
#include "ops/adamw/adamw.h"

#include <cmath>
#include <limits>
#include <random>

#include "ops/global_norm/global_norm.h"
#include "ops/op_fixture.h"

namespace cajal::testing {
namespace {

struct Reference {
  std::vector<double> param, m, v;
  int applied = 0;

  void step(const std::vector<float>& grad, const ops::AdamWHyper& hyper, std::int64_t decayed) {
    double norm = 0.0;
    for (const float g : grad) norm += double{g} * double{g};
    norm = std::sqrt(norm);
    if (!std::isfinite(norm)) return;
    ++applied;
    const double scale = std::min(1.0, double{hyper.clip} / norm);
    for (std::size_t i = 0; i < param.size(); ++i) {
      const double g = grad[i] * scale;
      m[i] = hyper.beta1 * m[i] + (1.0 - hyper.beta1) * g;
      v[i] = hyper.beta2 * v[i] + (1.0 - hyper.beta2) * g * g;
      const double m_hat = m[i] / (1.0 - std::pow(hyper.beta1, applied));
      const double v_hat = v[i] / (1.0 - std::pow(hyper.beta2, applied));
      const double decay = static_cast<std::int64_t>(i) < decayed ? hyper.weight_decay : 0.0;
      param[i] -=
          hyper.learning_rate * (m_hat / (std::sqrt(v_hat) + hyper.epsilon) + decay * param[i]);
    }
  }
};

class AdamW : public OpTest {
 protected:
  static constexpr std::size_t kCount = 40001;
  static constexpr std::int64_t kDecayed = 30001;

  std::vector<float> normal(double spread) {
    std::normal_distribution<float> distribution(0.0F, static_cast<float>(spread));
    std::vector<float> values(kCount);
    for (float& value : values) value = distribution(generator_);
    return values;
  }
  void write(const Tensor& to, const std::vector<float>& values) {
    queue->write(std::as_bytes(std::span(values)), to.buffer, WaitReason::evaluation);
  }
  void step(const std::vector<float>& grad) {
    write(args_.grad, grad);
    queue->wait(queue->commit(commands_), WaitReason::evaluation);
  }
  void record(const std::vector<float>& param, const ops::AdamWHyper& hyper) {
    const std::vector<float> zeros(kCount, 0.0F);
    const std::vector<float> hyper_values{hyper.learning_rate, hyper.beta1,        hyper.beta2,
                                          hyper.epsilon,       hyper.weight_decay, hyper.clip};
    args_ = {.param = floats(param),
             .grad = floats(zeros),
             .m = floats(zeros),
             .v = floats(zeros),
             .compute = {},
             .norm = floats({0.0F}),
             .hyper = floats(hyper_values),
             .state = integers({0, 0, 0}),
             .decayed = kDecayed};
    commands_ = queue->command_buffer("step");
    ops::global_norm(*commands_, {.x = args_.grad, .norm = args_.norm});
    ops::adamw(*commands_, args_);
  }

  std::mt19937_64 generator_{run_seed()};
  ops::AdamWArgs args_;
  std::shared_ptr<CommandBuffer> commands_;
};

TEST_F(AdamW, FollowsTheReferenceAndSkipsWhatIsNotFinite) {
  const ops::AdamWHyper hyper{.learning_rate = 1e-2F, .clip = 0.7F};
  const auto start = normal(0.02);
  record(start, hyper);
  Reference want{{start.begin(), start.end()},
                 std::vector<double>(kCount, 0.0),
                 std::vector<double>(kCount, 0.0)};
  for (int i = 0; i < 12; ++i) {
    auto grad = normal(i % 3 == 0 ? 1e-4 : 1.0);  // Below the clip, and above.
    if (i == 5) grad[33333] = std::numeric_limits<float>::quiet_NaN();
    if (i == 6) grad[3] = std::numeric_limits<float>::infinity();
    step(grad);
    want.step(grad, hyper, kDecayed);
    const auto state = read<std::int32_t>(args_.state);
    EXPECT_EQ(state[0], want.applied);
    EXPECT_EQ(state[1], i < 5 ? 0 : std::min(i - 4, 2));
    EXPECT_EQ(state[2], i == 5 ? 1 : i == 6 ? 2 : 0);
  }
  const auto param = read<float>(args_.param);
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_NEAR(param[i], want.param[i], 1e-6) << i << " seed " << run_seed();
  }
}

TEST_F(AdamW, MomentsOfADeadWeightBecomeZeroNotSubnormal) {
  record(normal(0.02), {.learning_rate = 1e-3F, .beta1 = 0.5F, .beta2 = 0.5F});
  step(normal(1e-3));
  const std::vector<float> zeros(kCount, 0.0F);
  for (int i = 0; i < 160; ++i) {
    step(zeros);
    if (i % 20 != 0) continue;
    for (const auto& moments : {read<float>(args_.m), read<float>(args_.v)}) {
      for (const float x : moments) ASSERT_TRUE(x == 0.0F || std::isnormal(x)) << x;
    }
  }
  EXPECT_EQ(read<float>(args_.m), zeros);
  EXPECT_EQ(read<float>(args_.v), zeros);
}

}  // namespace
}  // namespace cajal::testing
