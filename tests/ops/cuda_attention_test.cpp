// cuDNN's attention against the reference, and that the operation takes it for large problems.
#include "ops/attention_cases.h"
#include "ops/case_test.h"
#include "ops/cudnn_attention.h"

namespace cajal::testing {
namespace {

/// The case with cuDNN in place of the operation.
OpCase by_cudnn(OpCase c, int heads, const std::shared_ptr<std::string>& refusal) {
  const bool backward = c.operation == "attention_backward";
  c.encode = [=](CommandBuffer& commands, const Tensors& t) {
    if (backward) {
      encode_cudnn(commands,
                   ops::AttentionBackwardArgs{.qkv = t.at("qkv"),
                                              .out = t.at("out"),
                                              .lse = t.at("lse"),
                                              .dout = t.at("dout"),
                                              .dqkv = t.at("dqkv"),
                                              .heads = heads,
                                              .dropout = {}},
                   refusal);
    } else {
      encode_cudnn(commands,
                   ops::AttentionArgs{.qkv = t.at("qkv"),
                                      .out = t.at("out"),
                                      .lse = t.at("lse"),
                                      .heads = heads,
                                      .dropout = {}},
                   refusal);
    }
  };
  return c;
}

class CudnnTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    if (const auto absence = cudnn_absence(); !absence.empty()) GTEST_SKIP() << absence;
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
  const AttentionSize size{2, 512, 16, 64, DType::bf16};  // 256 blocks of 64 tokens.
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

}  // namespace
}  // namespace cajal::testing
