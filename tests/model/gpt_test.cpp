// The whole model against a float64 reference: loss, gradients, cached decoding.
#include "model/gpt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cajal/error.h"
#include "device_fixture.h"
#include "model/model_fixture.h"
#include "model/presets.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace cajal::testing {
namespace {

std::uint64_t fresh_seed() {
  const std::uint64_t seed = std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

/// One forward, loss and backward pass over [batch, seq] tokens.
struct PassResult {
  float loss = 0.0F;
  std::vector<float> gradients;
};

PassResult run_pass(SmallGpt& small, std::int64_t batch, const std::vector<std::int32_t>& tokens,
                    const std::vector<std::int32_t>& targets, int repeats = 1) {
  const auto seq = static_cast<std::int64_t>(tokens.size()) / batch;
  const Tensor ids = allocate(*small.device, DType::i32, {batch, seq});
  const Tensor wanted = allocate(*small.device, DType::i32, {batch, seq});
  const Tensor scale = allocate(*small.device, DType::f32, {1});
  const Tensor loss = allocate(*small.device, DType::f32, {1});
  const auto commands = small.queue.command_buffer("pass");
  ops::zero(*commands, loss);
  for (int i = 0; i < repeats; ++i) {
    const model::Activations pass = small.gpt.forward(*commands, ids);
    small.gpt.compute_loss(*commands, pass, wanted, scale, loss, /*with_gradient=*/true);
    small.gpt.backward(*commands, pass, /*accumulate=*/i > 0);
  }
  MemoryPlan({commands}).bind(*small.device);
  upload(small.queue, tokens, ids);
  upload(small.queue, targets, wanted);
  const auto counted = targets.size() - static_cast<std::size_t>(std::count(
                                            targets.begin(), targets.end(), ops::kIgnoreTarget));
  upload(small.queue, std::vector<float>{1.0F / static_cast<float>(counted)}, scale);
  small.queue.commit(commands);
  return {download<float>(small.queue, loss)[0],
          download<float>(small.queue, small.gpt.parameters().grad())};
}

double reference_loss(const ReferenceGpt& reference, std::int64_t batch,
                      const std::vector<std::int32_t>& tokens,
                      const std::vector<std::int32_t>& targets) {
  const std::size_t seq = tokens.size() / static_cast<std::size_t>(batch);
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t row = 0; row < tokens.size(); row += seq) {
    const auto at = [&](const std::vector<std::int32_t>& v) {
      return std::vector<std::int32_t>(v.begin() + static_cast<std::ptrdiff_t>(row),
                                       v.begin() + static_cast<std::ptrdiff_t>(row + seq));
    };
    const auto [row_sum, row_count] = reference.loss_sum(at(tokens), at(targets));
    sum += row_sum;
    count += row_count;
  }
  return sum / static_cast<double>(count);
}

using Gpt = DeviceTest;

TEST_F(Gpt, LossAndEveryGradientAgreeWithTheReference) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  SmallGpt small(seed);
  std::mt19937_64 generator(seed + 1);
  const std::int64_t batch = 2;
  const std::int64_t seq = 7;
  const auto tokens = random_ids(batch * seq, 29, generator);
  auto targets = random_ids(batch * seq, 29, generator);
  targets[3] = ops::kIgnoreTarget;

  const PassResult got = run_pass(small, batch, tokens, targets);
  ReferenceGpt reference(small.gpt.config(), small.reference_weights());
  EXPECT_NEAR(got.loss, reference_loss(reference, batch, tokens, targets), 1e-5);

  // Along one random direction per parameter, and element by element for a few.
  std::normal_distribution<double> normal;
  for (const model::Parameter& parameter : small.gpt.parameters().all()) {
    SCOPED_TRACE(parameter.spec.name);
    Matrix& weights = reference.weights().at(parameter.spec.name);
    const Matrix original = weights;
    Matrix direction(weights.size());
    double analytic = 0;
    for (std::size_t i = 0; i < direction.size(); ++i) {
      direction[i] = normal(generator);
      analytic += direction[i] * got.gradients[static_cast<std::size_t>(parameter.offset) + i];
    }
    const double h = 1e-5;
    const auto shifted = [&](double step) {
      for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = original[i] + step * direction[i];
      const double loss = reference_loss(reference, batch, tokens, targets);
      weights = original;
      return loss;
    };
    const double numeric = (shifted(h) - shifted(-h)) / (2 * h);
    EXPECT_NEAR(analytic, numeric, 2e-4 * (1.0 + std::abs(numeric)));
  }
}

TEST_F(Gpt, PaddedRowsOfTheVocabularyGetNoGradient) {
  const std::uint64_t seed = fresh_seed();
  SmallGpt small(seed);
  std::mt19937_64 generator(seed);
  const PassResult got =
      run_pass(small, 1, random_ids(5, 29, generator), random_ids(5, 29, generator));
  const model::Parameter& wte = small.gpt.parameters()["transformer.wte.weight"];
  ASSERT_EQ(wte.spec.shape[0], 32);
  for (std::int64_t i = 29 * 18; i < 32 * 18; ++i)
    EXPECT_EQ(got.gradients[wte.offset + i], 0.0F) << i;
}

TEST_F(Gpt, AccumulationAddsGradients) {
  const std::uint64_t seed = fresh_seed();
  SmallGpt small(seed);
  std::mt19937_64 generator(seed);
  const auto tokens = random_ids(6, 29, generator);
  const auto targets = random_ids(6, 29, generator);
  const PassResult once = run_pass(small, 1, tokens, targets);
  const PassResult twice = run_pass(small, 1, tokens, targets, 2);
  EXPECT_NEAR(twice.loss, 2 * once.loss, 1e-5);
  for (std::size_t i = 0; i < once.gradients.size(); ++i) {
    ASSERT_NEAR(twice.gradients[i], 2 * once.gradients[i], 1e-5 * (1 + std::abs(once.gradients[i])))
        << i;
  }
}

TEST_F(Gpt, CachedDecodingAgreesWithTheWholeSequence) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  SmallGpt small(seed);
  std::mt19937_64 generator(seed);
  const auto tokens = random_ids(11, 29, generator);
  const Matrix expected =
      ReferenceGpt(small.gpt.config(), small.reference_weights()).logits(tokens);

  // A prompt of four tokens in one pass, then one token at a time.
  const Tensor position = allocate(*small.device, DType::i32, {1});
  const Tensor prompt = allocate(*small.device, DType::i32, {1, 4});
  const Tensor token = allocate(*small.device, DType::i32, {1, 1});
  const model::KvCache cache = small.gpt.make_cache(position);
  const auto pass = [&](const Tensor& ids) {
    const auto commands = small.queue.command_buffer("pass");
    const model::Activations activations = small.gpt.forward_cached(*commands, ids, cache);
    const Tensor logits = allocate(*small.device, DType::f32, activations.logits.shape);
    ops::convert(*commands, activations.logits, logits);
    MemoryPlan({commands}).bind(*small.device);
    return std::pair{commands, logits};
  };
  const auto check = [&](const Tensor& logits, std::size_t at) {
    const auto got = download<float>(small.queue, logits);
    for (std::size_t v = 0; v < 29; ++v) {
      EXPECT_NEAR(got[v], expected[at * 29 + v], 1e-4 * (1 + std::abs(expected[at * 29 + v])))
          << "token " << at;
    }
  };
  const auto [prompt_pass, prompt_logits] = pass(prompt);
  upload<std::int32_t>(small.queue, {0}, position);
  upload<std::int32_t>(small.queue, {tokens.begin(), tokens.begin() + 4}, prompt);
  small.queue.commit(prompt_pass);
  check(prompt_logits, 3);
  const auto [decode, logits] = pass(token);
  for (std::int32_t at = 4; at < 11; ++at) {
    upload<std::int32_t>(small.queue, {at}, position);
    upload<std::int32_t>(small.queue, {tokens[static_cast<std::size_t>(at)]}, token);
    small.queue.commit(decode);
    check(logits, static_cast<std::size_t>(at));
  }
}

TEST_F(Gpt, RefusesASequenceLongerThanItsPositions) {
  SmallGpt small(1);
  const auto commands = small.queue.command_buffer("pass");
  const Tensor tokens = allocate(*small.device, DType::i32, {1, 12});
  EXPECT_THROW(small.gpt.forward(*commands, tokens), InvalidArgument);
}

TEST(GptConfig, HeadsMustDivideTheWidth) {
  model::GptConfig config = odd_config();
  config.n_head = 4;
  EXPECT_THROW(config.validate(), InvalidArgument);
}

TEST(GptConfig, RefusesSizesWhoseCountsWouldOverflow) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 24;
  model::GptConfig config = odd_config();
  config.n_layer = kHuge;
  EXPECT_THROW(config.validate(), InvalidArgument);
  config.n_layer = 4096;
  config.n_embd = config.n_inner = kHuge;
  config.n_head = 1;
  EXPECT_THROW(config.validate(), InvalidArgument);
}

TEST(GptConfig, JsonRoundTrip) {
  const model::GptConfig config = odd_config();
  EXPECT_EQ(model::parse_config_json(model::to_config_json(config, 28), "test"), config);
}

TEST(GptConfig, LeftOutFieldsAreThoseOfTransformers) {
  const model::GptConfig config = model::parse_config_json(R"({"model_type":"gpt2"})", "f");
  EXPECT_EQ(config.vocab_size, 50257);
  EXPECT_EQ(config.n_positions, 1024);
  EXPECT_EQ(config.n_embd, 768);
  EXPECT_EQ(config.n_layer, 12);
  EXPECT_EQ(config.n_head, 12);
  EXPECT_EQ(config.n_inner, 4 * 768);
  EXPECT_EQ(config.layer_norm_epsilon, 1e-5F);
  EXPECT_EQ(config.parameter_count(), 124'439'808);
}

TEST(GptConfig, ReadsPublishedForms) {
  const auto read = [](const std::string& more) {
    return model::parse_config_json(R"({"model_type":"gpt2","n_embd":96)" + more + "}", "f");
  };
  const model::GptConfig plain = read("");
  for (const char* more :
       {R"(,"torch_dtype":"float16","dtype":"bfloat16","n_ctx":8,"unknown":{"a":[1]})",
        R"(,"reorder_and_upcast_attn":true,"scale_attn_by_inverse_layer_idx":null)",
        R"(,"activation_function":"gelu_pytorch_tanh","architectures":["GPT2LMHeadModel"])",
        R"(,"activation_function":"gelu_fast","resid_pdrop":0.1,"pruned_heads":{})",
        R"(,"n_inner":null,"layer_norm_epsilon":null,"hidden_size":96,"num_hidden_layers":12)"}) {
    EXPECT_EQ(read(more), plain) << more;
  }
  EXPECT_EQ(model::parse_config_json(R"({"n_embd":96})", "f"), plain) << "before model_type was";
  EXPECT_EQ(model::parse_config_json(R"({"model_type":"gpt2","hidden_size":96})", "f"), plain);
}

TEST(GptConfig, RefusesWhatItCannotCompute) {
  const struct {
    const char* text;
    const char* problem;
  } cases[]{
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "says no model_type"},
      {R"({"model_type":"llama"})", "model_type \"llama\""},
      {R"({"model_type":"gpt2\n","n_embd":8})", "model_type \"gpt2\\n\""},
      {R"({"model_type":7})", "\"model_type\" must be a text, not 7"},
      {R"({"n_embd":8,"n_head":3})", "3 heads do not divide"},
      {R"({"n_embd":8,"n_head":2,"vocab_size":"10"})", "\"vocab_size\" must be a whole number"},
      {R"({"n_embd":-8})", "\"n_embd\" must be a whole number"},
      {R"({"n_embd":8,"n_layer":1e3})", "\"n_layer\" must be a whole number"},
      {R"({"n_embd":8,"n_layer":18446744073709551615})", "\"n_layer\" must be a whole number"},
      {R"({"n_embd":8,"hidden_size":16})", "\"hidden_size\" is 16"},
      {R"({"n_embd":8,"activation_function":"relu"})", "activation_function \"relu\""},
      {R"({"n_embd":8,"activation_function":"gelu"})", "activation_function \"gelu\""},
      {R"({"n_embd":8,"scale_attn_weights":null})", "\"scale_attn_weights\" is null"},
      {R"({"n_embd":8,"scale_attn_by_inverse_layer_idx":true})", "is true"},
      {R"({"n_embd":8,"tie_word_embeddings":false})", "\"tie_word_embeddings\" is false"},
      {R"({"n_embd":8,"add_cross_attention":1})", "\"add_cross_attention\" is 1"},
      {R"({"n_embd":8,"quantization_config":{}})", "quantised"},
      {R"({"n_embd":8,"pruned_heads":{"0":[1]}})", "pruned"},
      {R"({"n_embd":8,"n_head":1,"layer_norm_epsilon":1e-90})", "\"layer_norm_epsilon\""},
      {R"({"n_embd":8,"n_head":1,"layer_norm_epsilon":"x"})", "\"layer_norm_epsilon\""},
  };
  for (const auto& [text, problem] : cases) {
    try {
      model::parse_config_json(text, "config.json");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::AllOf(::testing::StartsWith("config.json: "),
                                                 ::testing::HasSubstr(problem),
                                                 ::testing::Not(::testing::HasSubstr("\n"))));
    }
  }
}

TEST(Presets, ParameterCountsAreThePublishedOnes) {
  EXPECT_EQ(model::preset_config("cajal-20m").parameter_count(), 20'086'784);
  EXPECT_EQ(model::preset_config("gpt2-124m").parameter_count(), 124'439'808);
  EXPECT_EQ(model::preset_config("gpt2-350m").parameter_count(), 354'823'168);
  EXPECT_EQ(model::preset_config("gpt2-774m").parameter_count(), 774'030'080);
  EXPECT_EQ(model::preset_config("gpt2-1558m").parameter_count(), 1'557'611'200);
  EXPECT_EQ(model::preset_config("gpt2-124m").padded_vocab_size(), 50304);
}

using Parameters = DeviceTest;

TEST_F(Parameters, InitialValuesDependOnTheSeedAlone) {
  SmallGpt a(1);
  SmallGpt b(2);
  EXPECT_EQ(a.gpt.parameters().initial_values(7), b.gpt.parameters().initial_values(7));
  EXPECT_NE(a.gpt.parameters().initial_values(7), a.gpt.parameters().initial_values(8));
}

}  // namespace
}  // namespace cajal::testing
