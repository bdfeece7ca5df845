// cuDNN's attention and our kernel for Hopper against the reference, and that the operation takes
// them for large problems.
#include "ops/cuda_attention.h"

#include "ops/attention_cases.h"
#include "ops/case_test.h"

namespace cajal::testing {
namespace {

ops::AttentionArgs forward_args(const Tensors& t, int heads) {
  return {
      .qkv = t.at("qkv"), .out = t.at("out"), .lse = t.at("lse"), .heads = heads, .dropout = {}};
}

ops::AttentionBackwardArgs backward_args(const Tensors& t, int heads) {
  return {.qkv = t.at("qkv"),
          .out = t.at("out"),
          .lse = t.at("lse"),
          .dout = t.at("dout"),
          .dqkv = t.at("dqkv"),
          .heads = heads,
          .dropout = {}};
}

/// The case with cuDNN in place of the operation.
OpCase by_cudnn(OpCase c, int heads, const std::shared_ptr<std::string>& refusal) {
  const bool backward = c.operation == "attention_backward";
  c.encode = [=](CommandBuffer& commands, const Tensors& t) {
    if (backward) {
      encode_cudnn(commands, backward_args(t, heads), refusal);
    } else {
      encode_cudnn(commands, forward_args(t, heads), refusal);
    }
  };
  return c;
}

/// The gradient with the kernel for Hopper in place of the operation.
OpCase by_wgmma(OpCase c, int heads, const std::shared_ptr<std::string>& refusal) {
  c.encode = [=](CommandBuffer& commands, const Tensors& t) {
    encode_wgmma(commands, backward_args(t, heads), refusal);
  };
  return c;
}

class AttentionKernelTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    device = Device::open(cuda_device_name());
    if (const auto reason = skip_reason(attention_case({.dtype = DType::bf16}), *device)) {
      GTEST_SKIP() << *reason;
    }
  }

  using Results = std::map<std::string, Bytes>;
  Results results_of(const OpCase& op_case, const Values& inputs) const {
    Workbench bench(op_case, device);
    bench.load(inputs);
    bench.run();
    return bench.read_results();
  }

  std::shared_ptr<Device> device;
  std::shared_ptr<std::string> refusal = std::make_shared<std::string>();
};

class CudnnTest : public AttentionKernelTest {
 protected:
  void SetUp() override {
    AttentionKernelTest::SetUp();
    if (IsSkipped()) return;
    if (const auto absence = cudnn_absence(); !absence.empty()) GTEST_SKIP() << absence;
  }
};

struct CudnnSize {
  AttentionSize size;
  bool backward = false;
  bool ordinary = false;  ///< cuDNN has to take it.
};

void PrintTo(const CudnnSize& size, std::ostream* out) { *out << size.size.name(); }

std::string size_name(const ::testing::TestParamInfo<CudnnSize>& info) {
  const AttentionSize& size = info.param.size;
  return fmt::format("{}_B{}_T{}_H{}_D{}", info.param.backward ? "backward" : "forward", size.batch,
                     size.tokens, size.heads, size.width);
}

std::vector<CudnnSize> cudnn_sizes() {
  std::vector<CudnnSize> sizes;
  for (const bool backward : {false, true}) {
    for (const std::int64_t tokens : {512, 1024, 200}) {
      for (const std::int64_t width : {64, 128, 40}) {
        const AttentionSize size{tokens == 1024 ? 1 : 2, tokens, 2, width, DType::bf16};
        sizes.push_back({size, backward, tokens % 64 == 0 && width % 64 == 0});
      }
    }
  }
  return sizes;
}

class CudnnSizes : public CudnnTest, public ::testing::WithParamInterface<CudnnSize> {};

TEST_P(CudnnSizes, AgreesWithTheReferenceAndRepeatsItsBits) {
  SCOPED_TRACE(how_to_repeat());
  const auto& [size, backward, ordinary] = GetParam();
  const OpCase op_case = by_cudnn(backward ? attention_backward_case(size) : attention_case(size),
                                  size.heads, refusal);
  const auto problems = check_against_reference(op_case, device, run_seed());
  if (!refusal->empty() && !ordinary) GTEST_SKIP() << "cuDNN refuses: " << *refusal;
  ASSERT_EQ(*refusal, "");
  expect_none(problems);
}

INSTANTIATE_TEST_SUITE_P(Sizes, CudnnSizes, ::testing::ValuesIn(cudnn_sizes()), size_name);

TEST_F(CudnnTest, IsWhatTheOperationTakesForLargeProblems) {
  SCOPED_TRACE(how_to_repeat());
  // 256 blocks of 64 tokens, of a width that the kernel for Hopper does not take.
  const AttentionSize size{2, 512, 16, 128, DType::bf16};
  for (const OpCase& op_case : {attention_case(size), attention_backward_case(size)}) {
    const Values inputs = draw_inputs(op_case, run_seed());
    const auto by_operation = results_of(op_case, inputs);
    const auto by_library = results_of(by_cudnn(op_case, size.heads, refusal), inputs);
    ASSERT_EQ(*refusal, "") << full_name(op_case);
    EXPECT_TRUE(by_operation == by_library) << full_name(op_case);
  }
}

TEST_F(CudnnTest, TheOperationAgreesWithTheReferenceForLargeProblems) {
  SCOPED_TRACE(how_to_repeat());
  const AttentionSize size{1, 512, 32, 32, DType::bf16};  // 256 blocks of 64 tokens.
  for (const OpCase& op_case : {attention_case(size), attention_backward_case(size)}) {
    SCOPED_TRACE(full_name(op_case));
    expect_none(check_against_reference(op_case, device, run_seed()));
  }
}

class WgmmaTest : public AttentionKernelTest {
 protected:
  void SetUp() override {
    AttentionKernelTest::SetUp();
    if (IsSkipped()) return;
    if (refuses({1, 64, 1, 64, DType::bf16})) GTEST_SKIP() << "the card is no Hopper";
  }

  bool refuses(const AttentionSize& size) {
    refusal->clear();
    const OpCase op_case = attention_backward_case(size);
    results_of(by_wgmma(op_case, size.heads, refusal), draw_inputs(op_case, run_seed()));
    return !std::exchange(*refusal, {}).empty();
  }
};

/// One tile, blocks of whole and of half items, more heads than are worked on together.
std::vector<AttentionSize> wgmma_sizes() {
  return {{1, 64, 1, 64, DType::bf16},  {2, 128, 2, 64, DType::bf16}, {3, 192, 12, 64, DType::bf16},
          {1, 320, 2, 64, DType::bf16}, {1, 640, 2, 64, DType::bf16}, {2, 512, 4, 64, DType::bf16}};
}

class WgmmaSizes : public WgmmaTest, public ::testing::WithParamInterface<AttentionSize> {};

TEST_P(WgmmaSizes, AgreesWithTheReferenceAndRepeatsItsBits) {
  SCOPED_TRACE(how_to_repeat());
  const AttentionSize& size = GetParam();
  const OpCase op_case = by_wgmma(attention_backward_case(size), size.heads, refusal);
  expect_none(check_against_reference(op_case, device, run_seed()));
  EXPECT_EQ(*refusal, "");
}

std::string wgmma_name(const ::testing::TestParamInfo<AttentionSize>& info) {
  return fmt::format("B{}_T{}_H{}", info.param.batch, info.param.tokens, info.param.heads);
}

INSTANTIATE_TEST_SUITE_P(Sizes, WgmmaSizes, ::testing::ValuesIn(wgmma_sizes()), wgmma_name);

TEST_F(WgmmaTest, RefusesWhatItsTilesDoNotFit) {
  EXPECT_TRUE(refuses({1, 100, 2, 64, DType::bf16}));
  EXPECT_TRUE(refuses({1, 128, 2, 32, DType::bf16}));
  EXPECT_TRUE(refuses({1, 128, 2, 64, DType::f32}));
}

TEST_F(WgmmaTest, IsWhatTheGradientTakesForLargeProblems) {
  SCOPED_TRACE(how_to_repeat());
  const AttentionSize size{2, 512, 8, 64, DType::bf16};  // 128 blocks of 64 tokens.
  const OpCase op_case = attention_backward_case(size);
  const Values inputs = draw_inputs(op_case, run_seed());
  EXPECT_TRUE(results_of(op_case, inputs) ==
              results_of(by_wgmma(op_case, size.heads, refusal), inputs));
}

}  // namespace
}  // namespace cajal::testing
