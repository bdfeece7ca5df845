// A run that changes its device: the checkpoint of one goes on with the other.
#include <gtest/gtest.h>

#include "train/training_fixture.h"

namespace cajal::testing {
namespace {

/// Sums in another order: what fp32 leaves open over these few steps.
constexpr double kSameCurve = 1e-3;

class DeviceExchange : public TrainingTest {
 protected:
  void SetUp() override {
    if (const auto& reason = why_skipped(cuda_device_name())) GTEST_SKIP() << *reason;
  }

  train::TrainOptions on(const std::string& device, const std::string& out) const {
    auto o = options(out);
    o.device = device;
    o.steps = 14;
    o.accumulate = 2;
    return o;
  }
  std::vector<double> straight(const train::TrainOptions& options) const {
    Recorder recorder;
    run(options, recorder);
    return recorder.losses();
  }
  /// Some steps on `first`, the rest on `second`.
  std::vector<double> exchanged(const std::string& first, const std::string& second) const {
    const std::string out = "exchanged";
    Recorder before;
    before.stop_at = 5;
    run(on(first, out), before);
    auto rest = resumed(out);
    rest.device = second;
    Recorder after;
    run(rest, after);
    EXPECT_EQ(after.plan.dtype, DType::f32) << "the resumed run's type, whatever the device's";
    auto losses = before.losses();
    EXPECT_LT(losses.size(), 14U);
    for (const double loss : after.losses()) losses.push_back(loss);
    return losses;
  }
  static void expect_same_curve(const std::vector<double>& got, const std::vector<double>& want,
                                double tolerance) {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], tolerance) << "step " << i + 1;
    }
  }
};

TEST_F(DeviceExchange, BothDevicesLearnTheSame) {
  expect_same_curve(straight(on(cuda_device_name(), "cuda")), straight(on("cpu", "cpu")),
                    kSameCurve);
}

TEST_F(DeviceExchange, BothDropTheSameActivations) {
  auto cpu = on("cpu", "cpu");
  auto cuda = on(cuda_device_name(), "cuda");
  cpu.dropout = cuda.dropout = 0.2F;
  expect_same_curve(straight(cuda), straight(cpu), kSameCurve);
}

TEST_F(DeviceExchange, FromTheCpuToTheCard) {
  expect_same_curve(exchanged("cpu", cuda_device_name()), straight(on("cpu", "cpu")), kSameCurve);
}

TEST_F(DeviceExchange, FromTheCardToTheCpu) {
  expect_same_curve(exchanged(cuda_device_name(), "cpu"), straight(on("cpu", "cpu")), kSameCurve);
}

TEST_F(DeviceExchange, Bf16OnTheCardFollowsFp32OnTheCpu) {
  auto bf16 = on(cuda_device_name(), "bf16");
  bf16.dtype = DType::bf16;
  expect_same_curve(straight(bf16), straight(on("cpu", "cpu")), 0.05);
}

}  // namespace
}  // namespace cajal::testing
