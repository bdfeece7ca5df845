// What linear refuses when it is recorded, and operations that share a product.
#include "ops/linear/linear.h"

#include <gmock/gmock.h>

#include "cajal/error.h"
#include "device_fixture.h"
#include "ops/harness.h"
#include "ops/op_fixture.h"

namespace cajal::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Tensor make(Shape shape, DType dtype = DType::f32) {
  const auto bytes = static_cast<std::size_t>(element_count(shape)) * size_of(dtype);
  return {test_device()->allocate(bytes, "test"), dtype, std::move(shape)};
}

/// What recording says; it must be an InvalidArgument, and nothing may have been recorded.
template <class Operation, class Args>
std::string refusal(Operation operation, const Args& args) {
  CommandBuffer commands(test_device(), "refused");
  try {
    operation(commands, args);
  } catch (const InvalidArgument& refused) {
    EXPECT_TRUE(commands.commands().empty());
    return refused.what();
  }
  return "accepted";
}

auto names(const char* operation, const char* argument) {
  return AllOf(HasSubstr(operation), HasSubstr(argument));
}

class LinearRefusals : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    forward = {.x = make({2, 3, 8}), .weight = make({8, 4}), .y = make({2, 3, 4})};
    input = {.dy = make({6, 4}), .weight = make({8, 4}), .dx = make({6, 8})};
    weight = {.x = make({6, 8}), .dy = make({6, 4}), .dweight = make({8, 4})};
  }

  ops::LinearArgs forward;
  ops::LinearBackwardInputArgs input;
  ops::LinearBackwardWeightArgs weight;
};

TEST_F(LinearRefusals, TakesWhatFits) {
  EXPECT_EQ(refusal(ops::linear, forward), "accepted");
  EXPECT_EQ(refusal(ops::linear_backward_input, input), "accepted");
  EXPECT_EQ(refusal(ops::linear_backward_weight, weight), "accepted");
}

TEST_F(LinearRefusals, ForwardNamesTheArgument) {
  auto args = forward;
  args.weight = make({4, 8});
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "weight has shape"));
  args = forward;
  args.weight = make({8});
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "weight"));
  args = forward;
  args.y = make({6, 4});
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "y has shape"));
  args = forward;
  args.bias = make({8});
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "bias has shape"));
  args = forward;
  args.pre_gelu = make({2, 3, 8});
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "pre_gelu has shape"));
  args = forward;
  args.x = {};
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "x is missing"));
}

TEST_F(LinearRefusals, ForwardNamesTheElementType) {
  auto args = forward;
  args.x = make({2, 3, 8}, DType::i32);
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "x has element type"));
  args = forward;
  args.weight = make({8, 4}, DType::bf16);
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "weight has element type"));
  args = forward;
  args.bias = make({4}, DType::bf16);
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "bias has element type"));
}

TEST_F(LinearRefusals, OutputsMayNotShareMemoryWithInputs) {
  auto args = forward;
  args.weight = make({8, 8});
  args.y = args.x;
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "y"));
  args = forward;
  args.weight = make({8, 8});
  args.bias = {};
  args.y = make(args.x.shape);
  args.pre_gelu = args.x;
  EXPECT_THAT(refusal(ops::linear, args), names("linear", "pre_gelu overlaps x"));
  auto gradients = weight;
  gradients.dbias = gradients.dy.rows(0, 1).reshape({4});
  EXPECT_THAT(refusal(ops::linear_backward_weight, gradients),
              names("linear_backward_weight", "dbias overlaps dy"));
  auto square = input;
  square.weight = make({4, 4});
  square.dx = square.dy;
  EXPECT_THAT(refusal(ops::linear_backward_input, square), names("linear_backward_input", "dx"));
}

TEST_F(LinearRefusals, BackwardNamesTheArgument) {
  auto args = input;
  args.dx = make({5, 8});
  EXPECT_THAT(refusal(ops::linear_backward_input, args),
              names("linear_backward_input", "dx has shape"));
  args = input;
  args.pre_gelu = make({6, 4});
  EXPECT_THAT(refusal(ops::linear_backward_input, args),
              names("linear_backward_input", "pre_gelu has shape"));
  auto gradients = weight;
  gradients.dweight = make({4, 8});
  EXPECT_THAT(refusal(ops::linear_backward_weight, gradients),
              names("linear_backward_weight", "dweight has shape"));
  gradients = weight;
  gradients.dbias = make({8});
  EXPECT_THAT(refusal(ops::linear_backward_weight, gradients),
              names("linear_backward_weight", "dbias has shape"));
  gradients = weight;
  gradients.dy = make({5, 4});
  EXPECT_THAT(refusal(ops::linear_backward_weight, gradients),
              names("linear_backward_weight", "dy has shape"));
}

class LinearRepeated : public OpTest {
 protected:
  /// Runs the same commands thrice, so that a device which records them into a graph replays it.
  template <class Encode>
  void run_repeatedly(Encode encode) {
    const auto commands = queue->command_buffer("test");
    encode(*commands);
    for (int i = 0; i < 3; ++i) queue->wait(queue->commit(commands), WaitReason::evaluation);
  }
};

// y = x W' and dx = dy W of one square weight are one product to a matrix library; what is kept
// about the one must not be taken for the other's.
TEST_F(LinearRepeated, OperationsOfOneProductDoNotDisturbEachOther) {
  const Tensor x = floats({1, 2, 3, 4, 5, 6}, {3, 2});
  const Tensor weight = floats({1, 2, 3, 4}, {2, 2});
  const Tensor y = floats({0, 0, 0, 0, 0, 0}, {3, 2});
  const Tensor dx = floats({0, 0, 0, 0, 0, 0}, {3, 2});
  const std::vector<float> expected = {5, 11, 11, 25, 17, 39};
  const auto forward = [&](CommandBuffer& commands) {
    ops::linear(commands, {.x = x, .weight = weight, .y = y, .layout = ops::WeightLayout::out_in});
  };
  const auto backward = [&](CommandBuffer& commands) {
    ops::linear_backward_input(
        commands, {.dy = x, .weight = weight, .dx = dx, .layout = ops::WeightLayout::in_out});
  };
  run_repeatedly(backward);
  run_repeatedly(forward);
  EXPECT_EQ(read<float>(y), expected);
  EXPECT_EQ(read<float>(dx), expected);
  run_repeatedly([&](CommandBuffer& commands) {
    forward(commands);
    backward(commands);
  });
  EXPECT_EQ(read<float>(y), expected);
  EXPECT_EQ(read<float>(dx), expected);
}

}  // namespace
}  // namespace cajal::testing
