#include "train/benchmark.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "cajal/error.h"
#include "model/presets.h"
#include "runtime/memory_plan.h"
#include "train/checkpoint.h"
#include "train/memory_check.h"
#include "train/recipe.h"
#include "train/train_step.h"

namespace cajal::train {
namespace {

constexpr std::int64_t kBatches = 8;  // micro-batches of random tokens, taken in turn
constexpr double kMillisecondsPerNanosecond = 1e-6;

/// The first step builds every primitive. A GPU's first also times its products and its second is
/// captured as a graph.
std::int64_t warm_up_steps(const Device& device) {
  return device.kind() == DeviceKind::cpu ? 2 : 4;
}

std::vector<std::int32_t> random_tokens(std::int64_t count, std::int64_t vocab,
                                        std::mt19937_64& generator) {
  std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(vocab - 1));
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  std::generate(tokens.begin(), tokens.end(), [&] { return any(generator); });
  return tokens;
}

/// The process's largest resident size, in bytes.
std::size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  constexpr std::size_t unit = 1;  // macOS counts bytes, everybody else kilobytes
#else
  constexpr std::size_t unit = 1024;
#endif
  return static_cast<std::size_t>(usage.ru_maxrss) * unit;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void validate(const BenchmarkOptions& options, const model::GptConfig& config, std::int64_t seq) {
  const auto positive = [](std::int64_t value, const char* flag) {
    if (value < 1) throw InvalidArgument(fmt::format("{} must be at least 1", flag));
  };
  positive(options.batch, "--batch");
  positive(options.steps, "--steps");
  positive(options.blocks, "--blocks");
  positive(options.accumulate, "--accumulate");
  positive(seq, "--seq");
  if (seq > config.n_positions) {
    throw InvalidArgument(
        fmt::format("--seq {} is longer than the model's {}", seq, config.n_positions),
        fmt::format("use --seq {} or less", config.n_positions));
  }
}

/// Times and losses as the handler thread sees them; read after the queue is idle.
struct Observed {
  std::vector<Clock> completed;
  std::vector<float> losses;
};

class Benchmark {
 public:
  explicit Benchmark(const BenchmarkOptions& options);
  BenchmarkResult run();

 private:
  void commit_step(std::int64_t step);
  void observe(const Completion& completion, const StepResult& result);
  void report_block(std::int64_t block);
  Profile profile(std::int64_t first_step);
  BenchmarkResult result(const Usage& before, const Usage& after) const;

  BenchmarkOptions options_;
  model::GptConfig config_;
  StepShape shape_;
  std::shared_ptr<Device> device_;
  DType dtype_;
  std::int64_t warm_up_;
  std::unique_ptr<model::Gpt> gpt_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::int32_t> targets_;
  Observed observed_;
  std::vector<double> block_ms_;
  CommandQueue queue_;  // after what its handlers use
  std::unique_ptr<TrainStep> train_step_;
};

Benchmark::Benchmark(const BenchmarkOptions& options)
    : options_(options),
      config_(model::preset_config(options.preset)),
      shape_{options.batch, options.seq > 0 ? options.seq : config_.n_positions,
             options.accumulate},
      device_(Device::open(options.device, {.threads = options.threads})),
      dtype_(options.dtype.value_or(default_dtype(options.device))),
      warm_up_(warm_up_steps(*device_)),
      queue_(device_, {options.max_in_flight, options.sync}) {
  validate(options_, config_, shape_.seq);
  require_state_fits(*device_, config_, dtype_, shape_);
  gpt_ = std::make_unique<model::Gpt>(device_, config_, dtype_);
  optimizer_ = std::make_unique<Optimizer>(*device_, gpt_->parameters());
  train_step_ = std::make_unique<TrainStep>(queue_, *gpt_, *optimizer_, shape_, /*dropout=*/0.0F);
  MemoryPlan plan(train_step_->recordings());
  require_activations_fit(*device_, config_, dtype_, shape_, plan.arena_bytes());
  plan.bind(*device_);
  initialize_weights(queue_, *gpt_, options_.seed);
  initialize_optimizer(queue_, *optimizer_);
  std::mt19937_64 generator(options_.seed);
  tokens_ = random_tokens(kBatches * shape_.micro_tokens(), config_.vocab_size, generator);
  targets_ = random_tokens(kBatches * shape_.micro_tokens(), config_.vocab_size, generator);
}

void Benchmark::commit_step(std::int64_t step) {
  queue_.begin_step(step + 1);
  for (std::int64_t micro = 0; micro < shape_.accumulate; ++micro) {
    const StepInputs inputs = train_step_->inputs();
    const std::int64_t first =
        (step * shape_.accumulate + micro) % kBatches * shape_.micro_tokens();
    std::copy_n(tokens_.begin() + first, shape_.micro_tokens(), inputs.tokens().begin());
    std::copy_n(targets_.begin() + first, shape_.micro_tokens(), inputs.targets().begin());
    inputs.seed()[0] = inputs.seed()[1] = 0;
    train_step_->micro_batch(inputs);
  }
  train_step_->update({.learning_rate = 3e-4F},
                      [this](const Completion& completion, const StepResult& result) {
                        observe(completion, result);
                      });
}

void Benchmark::observe(const Completion& completion, const StepResult& result) {
  observed_.completed.push_back(completion.completed);
  observed_.losses.push_back(result.loss);
  const auto timed = static_cast<std::int64_t>(observed_.completed.size()) - warm_up_;
  const std::int64_t block = timed / options_.steps;
  const bool ends_block = timed > 0 && timed % options_.steps == 0;
  if (ends_block && block <= options_.blocks) report_block(block);
}

/// From the completion of the step before the block to that of its last step: no wait is added for
/// timing.
void Benchmark::report_block(std::int64_t block) {
  const std::size_t last = observed_.completed.size() - 1;
  const Clock spent = observed_.completed[last] -
                      observed_.completed[last - static_cast<std::size_t>(options_.steps)];
  block_ms_.push_back(static_cast<double>(spent) * kMillisecondsPerNanosecond /
                      static_cast<double>(options_.steps));
  if (options_.progress) options_.progress(block, block_ms_.back());
}

BenchmarkResult Benchmark::run() {
  std::int64_t step = 0;
  while (step < warm_up_) commit_step(step++);
  queue_.wait_idle(WaitReason::shutdown);
  const Usage before = queue_.usage();
  while (step < warm_up_ + options_.blocks * options_.steps) commit_step(step++);
  const Usage committed = queue_.usage();
  queue_.wait_idle(WaitReason::shutdown);
  Usage after = queue_.usage();
  after.waits = committed.waits;  // the last wait ends the measurement and is no part of it
  BenchmarkResult r = result(before, after);
  if (options_.profile_steps > 0) r.profile = profile(step);
  return r;
}

/// Of all traced steps but the first, in which the device begins from rest.
Profile Benchmark::profile(std::int64_t first_step) {
  queue_.timeline().start_trace();
  for (std::int64_t i = 0; i <= options_.profile_steps; ++i) commit_step(first_step + i);
  queue_.wait_idle(WaitReason::shutdown);
  std::map<std::string, OperationTime> by_name;
  Profile result;
  const double share = 1.0 / static_cast<double>(options_.profile_steps);
  for (const SubmissionSpan& span : queue_.timeline().submissions()) {
    if (span.operations.empty() || span.step <= first_step + 1) continue;
    const double scale = share * kMillisecondsPerNanosecond;
    result.ms_per_step += static_cast<double>(span.completed - span.started) * scale;
    for (const OperationSpan& operation : span.operations) {
      OperationTime& time = by_name[operation.operation];
      time.calls += share;
      time.ms += static_cast<double>(operation.completed - operation.started) * scale;
    }
  }
  for (auto& [name, time] : by_name) {
    result.operations.push_back({name, time.calls, time.ms});
  }
  std::stable_sort(result.operations.begin(), result.operations.end(),
                   [](const auto& a, const auto& b) { return a.ms > b.ms; });
  return result;
}

BenchmarkResult Benchmark::result(const Usage& before, const Usage& after) const {
  const auto steps = static_cast<double>(options_.blocks * options_.steps);
  const Usage spent = after - before;
  BenchmarkResult r;
  r.preset = options_.preset;
  r.batch = shape_.batch;
  r.seq = shape_.seq;
  r.device = device_->info().description;
  r.dtype = dtype_;
  r.sync = options_.sync;
  r.threads = device_->info().threads;
  r.parameters = config_.parameter_count();
  r.ms_per_step = median(block_ms_);
  r.ms_min = *std::min_element(block_ms_.begin(), block_ms_.end());
  r.ms_max = *std::max_element(block_ms_.begin(), block_ms_.end());
  const auto tokens = static_cast<double>(shape_.tokens());
  r.tokens_per_s = tokens / (r.ms_per_step * 1e-3);
  const double flops_per_s = config_.training_flops_per_token(shape_.seq) * r.tokens_per_s;
  r.tflops = flops_per_s * 1e-12;
  if (const auto peak = device_->peak_flops(dtype_)) r.mfu = flops_per_s / *peak;
  r.device_busy = after.device_busy(before);
  r.host_waits_per_step = static_cast<double>(spent.host_waits()) / steps;
  r.host_blocked_ms_per_step =
      static_cast<double>(spent.blocked_ns()) * kMillisecondsPerNanosecond / steps;
  r.peak_bytes = device_->info().shares_host_memory ? peak_resident_bytes() : device_->peak_bytes();
  r.first_loss = observed_.losses.front();
  r.last_loss = observed_.losses.back();
  return r;
}

}  // namespace

BenchmarkResult benchmark(const BenchmarkOptions& options) { return Benchmark(options).run(); }

}  // namespace cajal::train
