// Whole trainings: bits, resume, waits, failures.
#include "train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cajal/error.h"
#include "data/token_shard.h"
#include "train/generate.h"
#include "train/run_directory.h"
#include "train/training_fixture.h"

namespace cajal::testing {
namespace {

using ::testing::HasSubstr;

template <class Exception, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Exception& error) {
    return error.what();
  }
  return "";
}

using Trainer = TrainingTest;

TEST_F(Trainer, SameSeedGivesTheSameBits) {
  run(options("a"));
  run(options("b"));
  expect_same_weights("a", "b");
}

TEST_F(Trainer, SameSeedGivesTheSameBitsInBf16) {
  const DeviceInfo info = open_test_device()->info();
  if (!info.supports_bf16) GTEST_SKIP() << info.name << " has no bf16: " << info.bf16_remedy;
  for (const char* name : {"a", "b"}) {
    auto o = options(name);
    o.dtype = DType::bf16;
    o.dropout = 0.1F;
    o.accumulate = 2;
    run(o);
  }
  expect_same_weights("a", "b");
}

TEST_F(Trainer, AnotherSeedGivesOtherWeights) {
  run(options("a"));
  auto other = options("b");
  other.seed = 2;
  run(other);
  EXPECT_TRUE(train::contents_of(folder_ / "a/model.safetensors") !=
              train::contents_of(folder_ / "b/model.safetensors"));
}

TEST_F(Trainer, EveryOpGivesTheSameBitsAndWaitsForEach) {
  Recorder asynchronous;
  Recorder synchronous;
  auto a = options("a");
  auto b = options("b");
  a.dropout = b.dropout = 0.1F;
  b.sync = SyncMode::every_op;
  run(a, asynchronous);
  const auto summary = run(b, synchronous);
  EXPECT_EQ(asynchronous.losses(), synchronous.losses());
  expect_same_weights("a", "b");
  EXPECT_GT(summary.waits[static_cast<std::size_t>(WaitReason::every_op)].count, 8 * 50);
}

TEST_F(Trainer, ResumeContinuesToTheBit) {
  const auto with = [&](const std::string& out) {
    auto o = options(out);
    o.dropout = 0.1F;
    o.accumulate = 2;
    o.steps = 14;
    return o;
  };
  Recorder straight;
  run(with("straight"), straight);

  Recorder first;
  first.stop_at = 5;
  const auto stopped = run(with("halves"), first);
  ASSERT_TRUE(stopped.interrupted);
  ASSERT_LT(stopped.last_step, 14);
  const train::TrainOptions rest = resumed("halves");
  Recorder second;
  EXPECT_EQ(run(rest, second).last_step, 14);

  auto losses = first.losses();
  for (const double loss : second.losses()) losses.push_back(loss);
  EXPECT_EQ(straight.losses(), losses);
  expect_same_weights("straight", "halves");
}

TEST_F(Trainer, StoppedBeforeTheFirstStepLeavesNothing) {
  for (const char* stage : {"tokenizer", "encoding"}) {
    Recorder recorder;
    recorder.stop_in = stage;
    EXPECT_THAT(message_of<train::Interrupted>([&] { run(options("deep/er/run"), recorder); }),
                HasSubstr("nothing was saved"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "deep")) << stage;
    EXPECT_TRUE(recorder.steps.empty());
  }
}

TEST_F(Trainer, AResumeStoppedBeforeItsFirstStepKeepsTheCheckpoint) {
  run(options("run"));
  const std::string before = train::contents_of(folder_ / "run/model.safetensors");
  std::filesystem::remove_all(folder_ / "run/tokens");
  train::TrainOptions rest = resumed("run");
  rest.steps = 12;
  Recorder stopped;
  stopped.stop_in = "encoding";
  EXPECT_THAT(message_of<train::Interrupted>([&] { run(rest, stopped); }), HasSubstr("as it was"));
  EXPECT_TRUE(before == train::contents_of(folder_ / "run/model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/tokens"));

  // Encoded anew, the tokens are the same, and the run is where it was in them.
  Recorder again;
  EXPECT_EQ(run(rest, again).last_step, 12);
  EXPECT_THAT(again.warnings, ::testing::Not(::testing::Contains(HasSubstr("encoded anew"))));
  auto never_cut = options("whole");
  run(never_cut);
  auto whole = resumed("whole");
  whole.steps = 12;
  run(whole);
  expect_same_weights("run", "whole");
}

TEST_F(Trainer, ALostLinkIsNoLostRun) {
  run(options("run"));
  std::filesystem::remove(folder_ / "run/latest");
  EXPECT_THAT(message_of<InvalidArgument>([&] { run(options("run")); }), HasSubstr("--resume"));
  train::TrainOptions rest = resumed("run");
  rest.steps = 10;
  EXPECT_EQ(run(rest).steps, 2);
}

TEST_F(Trainer, StepsReportNoWaitsOfCheckpointsOrEvaluations) {
  auto o = options("run");
  o.steps = 24;
  o.save_every = 2;
  o.eval_every = 3;
  Recorder recorder;
  run(o, recorder);
  std::int64_t waits = 0;
  // In the first step a device may time its algorithms.
  for (const auto& step : recorder.steps) waits += step.step > 1 ? step.host_waits : 0;
  EXPECT_LE(waits, 24);
}

TEST_F(Trainer, ARunBegunAgainHasNoMetricsOfTheOldOne) {
  {
    const train::RunDirectory killed(folder_ / "run", train::RunDirectory::Use::begin);
    std::ofstream(folder_ / "run/metrics.jsonl") << "{\"step\":0,\"val_loss\":123.5}\n";
  }
  run(options("run"));
  EXPECT_THAT(train::contents_of(folder_ / "run/metrics.jsonl"),
              ::testing::Not(HasSubstr("123.5")));
}

TEST_F(Trainer, WaitsDoNotGrowWithAccumulation) {
  for (const std::int64_t accumulate : {1, 4}) {
    auto o = options("accumulate-" + std::to_string(accumulate));
    o.accumulate = accumulate;
    const auto summary = run(o);
    EXPECT_LE(summary.waits[static_cast<std::size_t>(WaitReason::back_pressure)].count, 8)
        << accumulate;
    EXPECT_EQ(summary.waits[static_cast<std::size_t>(WaitReason::every_op)].count, 0);
    EXPECT_LE(summary.waits[static_cast<std::size_t>(WaitReason::shutdown)].count, 1);
  }
}

TEST_F(Trainer, LearnsTheText) {
  auto o = options("run");
  o.steps = 120;
  o.batch = 8;
  Recorder recorder;
  const auto summary = run(o, recorder);
  EXPECT_LT(*summary.last_validation_loss, recorder.plan.unigram_entropy - 0.5);
  EXPECT_LT(summary.last_loss, summary.first_loss - 1.0);
  ASSERT_EQ(recorder.steps.size(), 120U);
  for (std::size_t i = 0; i < recorder.steps.size(); ++i) {
    EXPECT_EQ(recorder.steps[i].step, static_cast<std::int64_t>(i) + 1);
    EXPECT_GT(recorder.steps[i].tokens_per_s, 0.0);
    EXPECT_LE(recorder.steps[i].device_busy, 1.0);
  }
}

TEST_F(Trainer, GenerationIsRepeatableAndStreamsTheSameText) {
  auto o = options("run");
  o.steps = 60;
  o.batch = 8;
  run(o);
  const std::atomic<bool> go{false};
  const auto text = [&](std::uint64_t seed, float temperature) {
    train::GenerateOptions g;
    g.directory = folder_ / "run";
    g.device = test_device_name();
    g.prompt = "the cat";
    g.max_tokens = 40;
    g.seed = seed;
    g.sampling.temperature = temperature;
    std::string out;
    const auto summary = train::generate(
        g, [&](std::string_view piece) { out += piece; }, go);
    EXPECT_LE(summary.new_tokens, 40);
    return out;
  };
  EXPECT_EQ(text(1, 0.8F), text(1, 0.8F));
  EXPECT_NE(text(1, 0.8F), text(2, 0.8F));
  EXPECT_EQ(text(1, 0.0F), text(2, 0.0F));
}

TEST_F(Trainer, GenerationStopsAtTheEndOfTheContext) {
  run(options("run"));
  train::GenerateOptions g;
  g.directory = folder_ / "run";
  g.device = test_device_name();
  g.prompt = "the cat";
  g.max_tokens = 10'000;
  g.sampling.temperature = 0.0F;
  const std::atomic<bool> go{false};
  const auto summary = train::generate(
      g, [](std::string_view) {}, go);
  EXPECT_TRUE(summary.context_full || summary.end_of_text);
  EXPECT_LE(summary.new_tokens + summary.prompt_tokens, 128 + 1);

  g.prompt = std::string(4000, 'x');
  EXPECT_THAT(message_of<InvalidArgument>([&] {
                train::generate(
                    g, [](std::string_view) {}, go);
              }),
              HasSubstr("--prompt"));
  g.directory = folder_ / "nowhere";
  EXPECT_THAT(message_of<InvalidArgument>([&] {
                train::generate(
                    g, [](std::string_view) {}, go);
              }),
              HasSubstr("no model"));
}

TEST_F(Trainer, DivergenceStopsTheRunAndKeepsTheLastGoodCheckpoint) {
  auto good = options("run");
  good.steps = 3;
  run(good);
  const std::string before = train::contents_of(folder_ / "run/model.safetensors");

  train::TrainOptions bad = resumed("run");
  bad.steps = 200;
  bad.learning_rate = 1e37F;
  bad.warmup = 0;
  bad.clip = 0.0F;
  bad.save_every = 0;
  Recorder recorder;
  const std::string message = message_of<Error>([&] { run(bad, recorder); });
  EXPECT_THAT(message, HasSubstr("not finite 10 times in a row"));
  EXPECT_THAT(message, HasSubstr("step 3 in"));
  EXPECT_GE(recorder.steps.back().skipped, 10);
  EXPECT_TRUE(before == train::contents_of(folder_ / "run/model.safetensors"));
}

TEST_F(Trainer, ImpossibleOptionsSayWhatToDoAndWriteNothing) {
  const auto refused = [&](auto change, const char* word) {
    auto o = options("refused");
    change(o);
    EXPECT_THAT(message_of<InvalidArgument>([&] { run(o); }), HasSubstr(word));
    EXPECT_FALSE(std::filesystem::exists(o.out)) << word;
  };
  refused([](auto& o) { o.seq = 4096; }, "--seq");
  refused([](auto& o) { o.preset = "gpt5"; }, "gpt2-124m");
  refused([](auto& o) { o.batch = 0; }, "--batch");
  refused([](auto& o) { o.batch = 5'000'000; }, "use --batch");
  refused([](auto& o) { o.batch = 1LL << 60; }, "use --batch 1");
  refused([](auto& o) { o.vocab_size = 12; }, "--vocab-size");
  refused([](auto& o) { o.learning_rate = -1.0F; }, "--lr");
  refused([](auto& o) { o.dropout = 1.0F; }, "--dropout");
  refused([](auto& o) { o.minutes = 1.0; }, "--minutes");
  refused([](auto& o) { o.resume = true; }, "resume");
  refused([](auto& o) { o.device = "cuda:4096"; }, "cuda");
  refused([&](auto& o) { o.data = {folder_ / "missing.txt"}; }, "missing.txt");
  refused([&](auto& o) { o.init = folder_ / "missing"; }, "missing");
  refused([&](auto& o) { o.data = {folder_ / "missing.bin"}; }, "missing.bin does not exist");
  refused([&](auto& o) { o.trace = folder_ / "none/trace.json"; }, "--trace");
  std::ofstream(folder_ / "noise.bin") << std::string(4096, '?');
  refused([&](auto& o) { o.data = {folder_ / "noise.bin"}; }, "not a token shard");
  std::ofstream(folder_ / "word.txt") << "hello\n";
  refused([&](auto& o) { o.data = {folder_ / "word.txt"}; }, "too short");
}

TEST_F(Trainer, RefusesToOverwriteARun) {
  run(options("run"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { run(options("run")); }), HasSubstr("--resume"));
}

TEST_F(Trainer, BeginsFromAnotherRunsWeights) {
  auto first = options("first");
  first.steps = 60;
  first.batch = 8;
  run(first);
  auto second = options("second");
  second.vocab_size.reset();
  second.init = folder_ / "first";
  Recorder recorder;
  const auto summary = run(second, recorder);
  EXPECT_LT(summary.first_loss, 4.0);
  EXPECT_EQ(train::contents_of(folder_ / "first/tokenizer.json"),
            train::contents_of(folder_ / "second/tokenizer.json"));
}

TEST_F(Trainer, TrainsOnTokenShards) {
  run(options("text"));
  auto o = options("shards");
  o.data = {folder_ / "text/tokens/tokens_000000.bin"};
  Recorder recorder;
  run(o, recorder);
  Recorder again;
  auto text = options("text-again");
  run(text, again);
  EXPECT_EQ(recorder.losses(), again.losses());
}

TEST_F(Trainer, TraceHasTheLanesAndTheReasons) {
  auto o = options("run");
  o.trace = folder_ / "trace.json";
  run(o);
  const std::string trace = train::contents_of(*o.trace);
  // A traced step is launched operation by operation, which for so small a model takes a GPU's host
  // longer than the step itself: nothing to wait for.
  const char* const wait = test_device_name() == "cpu" ? "wait: back_pressure" : "wait: checkpoint";
  for (const char* word : {"traceEvents", wait, "attention_backward", "train step"}) {
    EXPECT_THAT(trace, HasSubstr(word));
  }
}

TEST_F(Trainer, TimeBoundedRunsEnd) {
  auto o = options("run");
  o.steps.reset();
  o.minutes = 0.02;
  const auto summary = run(o);
  EXPECT_GT(summary.steps, 0);
  EXPECT_EQ(summary.last_step, summary.steps);
}

}  // namespace
}  // namespace cajal::testing
