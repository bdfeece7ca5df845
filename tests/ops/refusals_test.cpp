// What operations refuse: wrong arguments when recorded, bad data when run.
#include <gmock/gmock.h>

#include <cmath>

#include "ops/adamw/adamw.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/dropout/dropout.h"
#include "ops/embedding/embedding.h"
#include "ops/fill/fill.h"
#include "ops/global_norm/global_norm.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/op_fixture.h"
#include "ops/sampling/sampling.h"

namespace cajal::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Refusals : public OpTest {
 protected:
  Tensor zeros(Shape shape, DType dtype = DType::f32) {
    const auto bytes = static_cast<std::size_t>(element_count(shape)) * size_of(dtype);
    Tensor result(device->allocate(bytes, "zeros"), dtype, std::move(shape));
    run([&](CommandBuffer& commands) { ops::zero(commands, result); });
    return result;
  }

  /// What recording says; a refusal must be an InvalidArgument.
  template <class Encode>
  std::string refusal(Encode encode) {
    const auto commands = queue->command_buffer("refused");
    try {
      encode(*commands);
    } catch (const InvalidArgument& error) {
      EXPECT_TRUE(commands->commands().empty());
      return error.what();
    }
    return {};
  }
  /// What running says. The queue is used up by it.
  template <class Encode>
  std::string fault(Encode encode) {
    const std::string message = error_of([&] { run(encode); });
    queue = std::make_unique<CommandQueue>(device);
    return message;
  }

  ops::EmbeddingArgs embedding() {
    return {.tokens = zeros({2, 3}, DType::i32),
            .wte = zeros({5, 4}),
            .wpe = zeros({3, 4}),
            .x = zeros({2, 3, 4}),
            .position = {}};
  }
  ops::CrossEntropyArgs cross_entropy() {
    return {.logits = zeros({3, 8}),
            .targets = zeros({3}, DType::i32),
            .scale = zeros({1}),
            .loss = zeros({1}),
            .dlogits = zeros({3, 8}),
            .vocab = 5};
  }
  ops::SamplingArgs sampling() {
    return {.logits = zeros({2, 8}),
            .seed = zeros({2}, DType::i32),
            .position = zeros({1}, DType::i32),
            .token = zeros({2}, DType::i32),
            .next_position = {},
            .vocab = 5,
            .options = {}};
  }
};

TEST_F(Refusals, EmbeddingArguments) {
  auto args = embedding();
  args.wpe = zeros({2, 4});
  EXPECT_THAT(refusal([&](auto& c) { ops::embedding(c, args); }),
              AllOf(HasSubstr("embedding"), HasSubstr("longer than wpe")));
  args = embedding();
  args.wte = zeros({5, 7});
  EXPECT_THAT(refusal([&](auto& c) { ops::embedding(c, args); }), HasSubstr("wte has shape [5"));
  args = embedding();
  args.tokens = zeros({2, 3});
  EXPECT_THAT(refusal([&](auto& c) { ops::embedding(c, args); }), HasSubstr("tokens"));
  args = embedding();
  args.x = {};
  EXPECT_THAT(refusal([&](auto& c) { ops::embedding(c, args); }), HasSubstr("x is missing"));
}

TEST_F(Refusals, EmbeddingFaultsNameTheToken) {
  for (const std::int32_t bad : {-1, 5, 2147483647}) {
    auto args = embedding();
    args.tokens = integers({0, 1, 2, 3, bad, 4}, {2, 3});
    EXPECT_THAT(fault([&](auto& c) { ops::embedding(c, args); }),
                AllOf(HasSubstr("embedding"), HasSubstr("token [1,1] is " + std::to_string(bad))));
    const ops::EmbeddingBackwardArgs backward{.tokens = integers({0, 1, 2, 3, bad, 4}, {2, 3}),
                                              .dx = zeros({2, 3, 4}),
                                              .dwte = zeros({5, 4}),
                                              .dwpe = zeros({3, 4})};
    EXPECT_THAT(fault([&](auto& c) { ops::embedding_backward(c, backward); }),
                AllOf(HasSubstr("embedding_backward"), HasSubstr("outside the table of 5 rows")));
  }
  for (const std::int32_t position : {-1, 1}) {
    auto args = embedding();
    args.position = integers({position});
    EXPECT_THAT(fault([&](auto& c) { ops::embedding(c, args); }), HasSubstr("reach outside"));
  }
}

TEST_F(Refusals, CrossEntropyArguments) {
  auto args = cross_entropy();
  args.vocab = 9;
  EXPECT_THAT(refusal([&](auto& c) { ops::cross_entropy(c, args); }), HasSubstr("vocab"));
  args = cross_entropy();
  args.targets = zeros({4}, DType::i32);
  EXPECT_THAT(refusal([&](auto& c) { ops::cross_entropy(c, args); }), HasSubstr("targets"));
  args = cross_entropy();
  args.dlogits = zeros({3, 8}, DType::bf16);
  EXPECT_THAT(refusal([&](auto& c) { ops::cross_entropy(c, args); }), HasSubstr("dlogits"));
}

TEST_F(Refusals, CrossEntropyFaultsNameTheTarget) {
  for (const std::int32_t bad : {-2, 5, 7}) {  // Columns 5 to 7 are padding.
    auto args = cross_entropy();
    args.targets = integers({0, bad, 4});
    EXPECT_THAT(fault([&](auto& c) { ops::cross_entropy(c, args); }),
                AllOf(HasSubstr("cross_entropy"), HasSubstr("target 1 is " + std::to_string(bad))));
  }
}

TEST_F(Refusals, CrossEntropyOfNaNIsNaNNotSilence) {
  auto args = cross_entropy();
  std::vector<float> logits(24, 0.0F);
  logits[9] = std::nanf("");
  args.logits = floats(logits, {3, 8});
  args.scale = floats({1.0F});
  run([&](auto& c) { ops::cross_entropy(c, args); });
  EXPECT_TRUE(std::isnan(read<float>(args.loss)[0]));
}

TEST_F(Refusals, SamplingArguments) {
  const auto with = [&](const ops::SamplingOptions& options) {
    auto args = sampling();
    args.options = options;
    return refusal([&](auto& c) { ops::sample(c, args); });
  };
  EXPECT_THAT(with({.temperature = -1.0F}), HasSubstr("temperature"));
  EXPECT_THAT(with({.temperature = std::nanf("")}), HasSubstr("temperature"));
  EXPECT_THAT(with({.top_k = -1}), HasSubstr("top_k"));
  EXPECT_THAT(with({.top_p = 0.0F}), HasSubstr("top_p"));
  EXPECT_THAT(with({.top_p = 1.1F}), HasSubstr("top_p"));
  EXPECT_EQ(with({}), "");
}

TEST_F(Refusals, SamplingFaultsNameTheLogit) {
  auto args = sampling();
  std::vector<float> logits(16, 0.0F);
  logits[10] = std::nanf("");
  args.logits = floats(logits, {2, 8});
  for (const float temperature : {0.0F, 1.0F}) {
    args.options.temperature = temperature;
    EXPECT_THAT(fault([&](auto& c) { ops::sample(c, args); }),
                AllOf(HasSubstr("sample"), HasSubstr("logit [1,2] is NaN")));
  }
  logits.assign(16, -INFINITY);
  args.logits = floats(logits, {2, 8});
  EXPECT_THAT(fault([&](auto& c) { ops::sample(c, args); }), HasSubstr("not finite"));
  logits.assign(16, 0.0F);
  logits[6] = std::nanf("");  // Padding may hold anything.
  args.logits = floats(logits, {2, 8});
  EXPECT_EQ(fault([&](auto& c) { ops::sample(c, args); }), "");
}

TEST_F(Refusals, DropoutArguments) {
  const Tensor x = zeros({8});
  const Tensor seed = zeros({2}, DType::i32);
  for (const float p : {-0.1F, 1.0F, std::nanf("")}) {
    EXPECT_THAT(refusal([&](auto& c) {
                  ops::dropout(c, {.x = x, .y = x, .seed = seed, .stream = 0, .probability = p});
                }),
                HasSubstr("probability"));
  }
  const Tensor whole = zeros({16});
  EXPECT_THAT(refusal([&](auto& c) {
                ops::dropout(c, {.x = whole.rows(0, 8), .y = whole.rows(4, 8), .seed = seed});
              }),
              HasSubstr("y overlaps x"));
}

TEST_F(Refusals, LayerNormArguments) {
  ops::LayerNormArgs args{.x = zeros({3, 4}),
                          .residual = zeros({3, 4}),
                          .weight = zeros({4}),
                          .bias = zeros({4}),
                          .y = zeros({3, 4}),
                          .sum = {},
                          .mean = zeros({3}),
                          .rstd = zeros({3})};
  EXPECT_THAT(refusal([&](auto& c) { ops::layer_norm(c, args); }),
              HasSubstr("residual and sum come together"));
  args.residual = {};
  args.weight = zeros({5});
  EXPECT_THAT(refusal([&](auto& c) { ops::layer_norm(c, args); }), HasSubstr("weight"));
  args.weight = zeros({4});
  args.y = args.x;
  EXPECT_THAT(refusal([&](auto& c) { ops::layer_norm(c, args); }), HasSubstr("y overlaps x"));
}

TEST_F(Refusals, AdamWAndItsNeighbours) {
  ops::AdamWArgs args{.param = zeros({9}),
                      .grad = zeros({9}),
                      .m = zeros({9}),
                      .v = zeros({9}),
                      .compute = {},
                      .norm = zeros({1}),
                      .hyper = zeros({6}),
                      .state = zeros({3}, DType::i32),
                      .decayed = 10};
  EXPECT_THAT(refusal([&](auto& c) { ops::adamw(c, args); }), HasSubstr("decayed"));
  args.decayed = 9;
  args.m = args.v;
  EXPECT_THAT(refusal([&](auto& c) { ops::adamw(c, args); }), HasSubstr("m overlaps v"));
  EXPECT_THAT(refusal([&](auto& c) { ops::global_norm(c, {.x = args.grad, .norm = zeros({2})}); }),
              HasSubstr("norm has shape [2]"));
  EXPECT_THAT(refusal([&](auto& c) { ops::convert(c, args.grad, zeros({8}, DType::bf16)); }),
              HasSubstr("number of elements"));
  EXPECT_THAT(refusal([&](auto& c) { ops::zero(c, {}); }), HasSubstr("x is missing"));
}

}  // namespace
}  // namespace cajal::testing
