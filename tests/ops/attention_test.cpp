// What attention promises beyond its formula.
#include "ops/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cajal/error.h"
#include "ops/attention_cases.h"
#include "ops/case_test.h"

namespace cajal::testing {
namespace {

using Results = std::map<std::string, Bytes>;

Results run(const OpCase& op_case, const Values& inputs, const std::shared_ptr<Device>& device) {
  Workbench bench(op_case, device);
  bench.load(inputs);
  bench.run();
  return bench.read_results();
}

std::vector<double> run_for(const OpCase& op_case, const Values& inputs, const std::string& name) {
  const auto spec = std::find_if(op_case.tensors.begin(), op_case.tensors.end(),
                                 [&](const TensorSpec& s) { return s.name == name; });
  return to_values(run(op_case, inputs, test_device()).at(name), spec->dtype);
}

/// Sets q, k and v of the last token, or only k and v, of a [1, T, 3 C] tensor.
void set_last_token(const AttentionSize& size, Values& inputs, double value, bool query) {
  auto& qkv = inputs.at("qkv");
  std::fill(qkv.end() - (query ? 3 : 2) * size.channels(), qkv.end(), value);
}

class AttentionProperty : public DeviceTest, public ::testing::WithParamInterface<DType> {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    if (const auto reason = skip_reason(attention_case({.dtype = GetParam()}), *test_device())) {
      GTEST_SKIP() << *reason;
    }
  }
};

TEST_P(AttentionProperty, LaterTokensDoNotChangeEarlierOutputs) {
  SCOPED_TRACE(how_to_repeat());
  for (const std::int64_t tokens : {2, 33, 64, 65, 150}) {
    const AttentionSize size{1, tokens, 2, 40, GetParam()};
    const OpCase op_case = attention_case(size);
    Values inputs = draw_inputs(op_case, run_seed());
    const auto before = run_for(op_case, inputs, "out");
    for (const double value : {-3.0, 1e30}) {
      set_last_token(size, inputs, value, true);
      const auto after = run_for(op_case, inputs, "out");
      const auto last = before.end() - size.channels();
      EXPECT_TRUE(std::equal(before.begin(), last, after.begin())) << tokens << " tokens";
      EXPECT_FALSE(std::equal(last, before.end(), after.end() - size.channels()));
    }
  }
}

TEST_P(AttentionProperty, NonFiniteLaterTokensStayWhereTheyAre) {
  SCOPED_TRACE(how_to_repeat());
  for (const double poison :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const AttentionSize size{1, 100, 2, 24, GetParam()};
    const OpCase op_case = attention_case(size);
    Values inputs = draw_inputs(op_case, run_seed());
    Values want = inputs;
    op_case.reference(want);
    set_last_token(size, inputs, poison, false);
    const auto out = run_for(op_case, inputs, "out");
    const std::size_t earlier = out.size() - static_cast<std::size_t>(size.channels());
    const auto first = [&](const std::vector<double>& v) {
      return std::vector<double>(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(earlier));
    };
    EXPECT_EQ(compare("out", first(out), first(want.at("out")), 1.0 / 64.0), std::nullopt);
    EXPECT_TRUE(std::all_of(out.end() - size.channels(), out.end(),
                            [](double x) { return !std::isfinite(x); }));
  }
}

TEST_P(AttentionProperty, NaNReachesWhatSeesIt) {
  const AttentionSize size{1, 70, 1, 16, GetParam()};
  const OpCase op_case = attention_case(size);
  for (const std::int64_t part : {0, 1, 2}) {
    Values inputs = draw_inputs(op_case, run_seed());
    constexpr std::int64_t kToken = 3;
    inputs.at("qkv")[static_cast<std::size_t>((3 * kToken + part) * size.channels())] =
        std::numeric_limits<double>::quiet_NaN();
    const auto out = run_for(op_case, inputs, "out");
    const auto is_nan = [&](std::int64_t token) {
      return std::isnan(out[static_cast<std::size_t>(token * size.channels())]);
    };
    EXPECT_FALSE(is_nan(kToken - 1)) << part;
    EXPECT_TRUE(is_nan(kToken)) << part;
    EXPECT_EQ(is_nan(size.tokens - 1), part != 0) << part;
  }
}

TEST_P(AttentionProperty, ThreadsDoNotChangeBits) {
  if (test_device()->kind() != DeviceKind::cpu) GTEST_SKIP() << "threads are the CPU's";
  SCOPED_TRACE(how_to_repeat());
  for (const AttentionSize& size : {AttentionSize{1, 300, 1, 48, GetParam()},
                                    {1, 300, 3, 48, GetParam()},
                                    {2, 200, 4, 20, GetParam(), 0.2F}}) {
    for (const OpCase& op_case : {attention_case(size), attention_backward_case(size),
                                  cached_attention_case(size, 400, 30)}) {
      const Values inputs = draw_inputs(op_case, run_seed());
      const Results one = run(op_case, inputs, Device::open("cpu", {.threads = 1}));
      for (const int threads : {2, 5}) {
        EXPECT_EQ(run(op_case, inputs, Device::open("cpu", {.threads = threads})), one)
            << full_name(op_case) << " on " << threads << " threads";
      }
    }
  }
}

/// Feeds the whole sequence through the cache in steps of `step` tokens.
std::vector<double> attend_in_steps(const AttentionSize& size, const std::vector<double>& qkv,
                                    std::int64_t step) {
  Values cache;
  std::vector<double> out;
  for (std::int64_t position = 0; position < size.tokens; position += step) {
    AttentionSize part = size;
    part.tokens = std::min(step, size.tokens - position);
    const OpCase op_case = cached_attention_case(part, size.tokens, position);
    Values inputs = draw_inputs(op_case, run_seed());
    for (const auto& [name, values] : cache) inputs.at(name) = values;
    const auto from = qkv.begin() + position * 3 * size.channels();
    inputs.at("qkv").assign(from, from + part.tokens * 3 * size.channels());
    const auto results = run(op_case, inputs, test_device());
    for (const char* name : {"k_cache", "v_cache"}) {
      cache[name] = to_values(results.at(name), size.dtype);
    }
    const auto rows = to_values(results.at("out"), size.dtype);
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

TEST_P(AttentionProperty, CachedAgreesWithUncached) {
  SCOPED_TRACE(how_to_repeat());
  const AttentionSize size{1, 140, 3, 64, GetParam()};
  const OpCase op_case = attention_case(size);
  const Values inputs = draw_inputs(op_case, run_seed());
  const auto whole = run_for(op_case, inputs, "out");
  const double tolerance = GetParam() == DType::bf16 ? 1.0 / 64.0 : 1e-5;
  for (const std::int64_t step : {1, 7, 50, 140}) {
    EXPECT_EQ(compare("out", attend_in_steps(size, inputs.at("qkv"), step), whole, tolerance),
              std::nullopt)
        << step << " tokens a step";
  }
}

TEST_P(AttentionProperty, PositionBeyondTheCacheIsAFault) {
  for (const double position : {-1.0, 9.0, 10.0}) {
    const OpCase op_case = cached_attention_case({1, 2, 1, 8, GetParam()}, 10, 0);
    Values inputs = draw_inputs(op_case, run_seed());
    inputs.at("position") = {position};
    try {
      Workbench bench(op_case, test_device());
      bench.load(inputs);
      bench.run();
      ADD_FAILURE() << "position " << position << " was taken";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("cached_attention"), std::string::npos)
          << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionProperty, ::testing::Values(DType::f32, DType::bf16),
                         [](const auto& type) { return std::string(name_of(type.param)); });

using Attention = DeviceTest;

TEST_F(Attention, RefusesWhatDoesNotFit) {
  CommandQueue queue(test_device());
  const auto commands = queue.command_buffer("refusals");
  const auto tensor = [&](const Shape& shape) {
    const auto bytes = static_cast<std::size_t>(element_count(shape)) * sizeof(float);
    return Tensor(test_device()->allocate(bytes, "tensor"), DType::f32, shape);
  };
  ops::AttentionArgs good;
  good.qkv = tensor({1, 4, 48});
  good.out = tensor({1, 4, 16});
  good.lse = tensor({1, 2, 4});
  good.heads = 2;
  const auto refused = [&](auto change) {
    ops::AttentionArgs bad = good;
    change(bad);
    EXPECT_THROW(ops::attention(*commands, bad), InvalidArgument);
  };
  refused([](ops::AttentionArgs& a) { a.heads = 3; });
  refused([](ops::AttentionArgs& a) { a.heads = 0; });
  refused([](ops::AttentionArgs& a) { a.qkv = {}; });
  refused([&](ops::AttentionArgs& a) { a.qkv = tensor({1, 4, 47}); });
  refused([&](ops::AttentionArgs& a) { a.out = tensor({1, 4, 48}); });
  refused([&](ops::AttentionArgs& a) { a.lse = tensor({1, 4, 2}); });
  refused([&](ops::AttentionArgs& a) { a.out.dtype = DType::i32; });
  refused([](ops::AttentionArgs& a) { a.dropout.probability = 1.0F; });
  refused([](ops::AttentionArgs& a) { a.dropout.probability = 0.5F; });  // No seed.
  EXPECT_NO_THROW(ops::attention(*commands, good));
}

}  // namespace
}  // namespace cajal::testing
