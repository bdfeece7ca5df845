#include "train/trainer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "cajal/error.h"
#include "data/loader.h"
#include "data/unigram.h"
#include "ops/philox.h"
#include "runtime/memory_plan.h"
#include "train/checkpoint.h"
#include "train/checkpoints.h"
#include "train/memory_check.h"
#include "train/run_directory.h"
#include "train/run_origin.h"
#include "train/step_reporter.h"
#include "train/train_step.h"
#include "train/training_text.h"
#include "train/validator.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

constexpr double kValidationShare = 0.02;
constexpr std::int64_t kMostPrefetched = 64;  ///< Batches made ahead.
constexpr float kBeta1 = 0.9F;
constexpr float kBeta2 = 0.95F;
constexpr float kAdamEpsilon = 1e-8F;

/// The trace is written at the end: a place that cannot take it is refused before the work.
void require_writable(const fs::path& trace) {
  const fs::path folder = trace.has_parent_path() ? trace.parent_path() : fs::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) == 0 && !fs::is_directory(trace)) return;
  throw InvalidArgument(fmt::format("cannot write the trace {}", trace.string()),
                        "give --trace a file in an existing, writable directory");
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Clock clock_of(std::chrono::steady_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

/// One run, from its options to its last checkpoint.
class Training {
 public:
  Training(const TrainOptions& options, TrainObserver& observer, const std::atomic<bool>& stop);
  TrainSummary run();

 private:
  void on_stage(std::string_view stage, double share);
  void open_text();
  data::LoaderState where_to_go_on(const std::string& message, bool tokens_were_there);
  void open_loaders(const std::vector<data::TokenShard>& shards);
  void load_model();
  void load_state();
  void open_checkpoints();
  void announce(double unigram_entropy);
  void warn_of_schedule();
  void commit_step();
  StepInputs micro_batch(std::int64_t micro);
  void evaluate();
  void wind_up();
  void require_converging() const;
  bool finished() const;
  bool stalled() const;
  float learning_rate() const;
  double seconds() const;
  TrainerState state() const;
  std::int64_t first_step() const { return origin_.state ? origin_.state->step : 0; }
  bool due(std::int64_t every) const { return every > 0 && step_ % every == 0; }
  TrainSummary summary(const Usage& before) const;

  TrainOptions options_;
  TrainObserver& observer_;
  const std::atomic<bool>& stop_;
  RunOrigin origin_;
  const Settings& settings_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<model::Gpt> gpt_;
  std::unique_ptr<Optimizer> optimizer_;
  std::shared_ptr<const data::Tokenizer> tokenizer_;
  std::unique_ptr<RunDirectory> directory_;
  std::unique_ptr<MetricsLog> log_;
  std::unique_ptr<StepReporter> reporter_;
  // The queue is declared after everything that its handlers use, so that it is drained first.
  CommandQueue queue_;
  std::unique_ptr<TrainStep> train_step_;
  std::unique_ptr<EvalStep> eval_step_;
  std::unique_ptr<MemoryPlan> plan_;
  std::unique_ptr<data::Loader> loader_;
  std::unique_ptr<Validator> validator_;
  std::unique_ptr<Checkpoints> checkpoints_;
  data::CorpusStats corpus_stats_;
  std::int64_t text_tokens_ = 0;
  std::string text_;  ///< Its fingerprint.
  CheckpointWay checkpoint_way_ = CheckpointWay::at_the_end;

  /// Where the loader stands behind a step.
  struct Progress {
    std::int64_t step = 0;
    data::LoaderState loader;
  };
  std::deque<Progress> progress_;  ///< Of the steps that may be outstanding, the last one last.
  std::int64_t step_ = 0;          ///< Steps committed, resumed ones included.
  std::int64_t evaluated_step_ = -1;
  bool interrupted_ = false;
  std::chrono::steady_clock::time_point began_;
};

Training::Training(const TrainOptions& options, TrainObserver& observer,
                   const std::atomic<bool>& stop)
    : options_(options),
      observer_(observer),
      stop_(stop),
      origin_(find_origin(options)),
      settings_(origin_.settings),
      device_(Device::open(options.device, {.threads = options.threads})),
      queue_(device_, {options.max_in_flight, options.sync}) {
  require_fits(settings_, origin_.config);
  require_state_fits(*device_, origin_.config, settings_.dtype, settings_.shape);
  gpt_ = std::make_unique<model::Gpt>(device_, origin_.config, settings_.dtype);
  optimizer_ = std::make_unique<Optimizer>(*device_, gpt_->parameters());
  train_step_ =
      std::make_unique<TrainStep>(queue_, *gpt_, *optimizer_, settings_.shape, settings_.dropout);
  const StepShape eval_shape{settings_.shape.batch, settings_.shape.seq, 1};
  eval_step_ = std::make_unique<EvalStep>(queue_, *gpt_, eval_shape);
  auto recordings = train_step_->recordings();
  recordings.push_back(eval_step_->commands());
  plan_ = std::make_unique<MemoryPlan>(recordings);
  require_activations_fit(*device_, origin_.config, settings_.dtype, settings_.shape,
                          plan_->arena_bytes());
  open_text();
  load_state();
  plan_->bind(*device_);
  open_checkpoints();
  warn_of_schedule();
  for (const std::string& warning : origin_.warnings) observer_.on_warning(warning);
}

/// Before the first step there is nothing to save, and `stop` ends the run where it is.
void Training::on_stage(std::string_view stage, double share) {
  observer_.on_stage(stage, share);
  if (!stop_.load()) return;
  throw Interrupted(
      origin_.state
          ? fmt::format("stopped before the first step; {} is as it was", options_.out.string())
          : std::string("stopped before the first step; nothing was saved"));
}

void Training::open_text() {
  TextSource::Encoded encoded;
  if (options_.resume) encoded = TextSource::encoded_in(options_.out, settings_);
  std::optional<TextSource> source = std::move(encoded.source);
  const bool same_tokens = source.has_value();
  if (!source) source = TextSource::open(settings_);
  if (origin_.model) {
    tokenizer_ =
        source->is_text() ? origin_.model->require_tokenizer() : origin_.model->tokenizer();
  }
  if (options_.trace) require_writable(*options_.trace);
  load_model();

  directory_ = std::make_unique<RunDirectory>(
      options_.out, origin_.state ? RunDirectory::Use::resume : RunDirectory::Use::begin);
  for (const std::string& warning : directory_->warnings()) origin_.warnings.push_back(warning);
  if (auto warning =
          directory_->require_space(checkpoint_bytes(gpt_->parameters()), options_.keep)) {
    origin_.warnings.push_back(*std::move(warning));
  }
  const auto progress = [this](std::string_view stage, double share) { on_stage(stage, share); };
  if (source->is_text() && !tokenizer_) {
    tokenizer_ = std::make_shared<const data::Tokenizer>(
        source->train_tokenizer(settings_, options_.threads, progress));
  }
  const auto shards =
      source->shards(*directory_, settings_, tokenizer_.get(), options_.threads, progress);
  corpus_stats_ = source->stats();
  text_ = source->fingerprint();
  for (const data::TokenShard& shard : shards) text_tokens_ += shard.count();

  const data::LoaderState start =
      where_to_go_on(encoded.message, same_tokens || !source->is_text());
  progress_ = {{first_step(), start}};
  try {
    open_loaders(shards);
  } catch (const InvalidArgument&) {
    if (!origin_.state) TextSource::discard(*directory_);
    throw;
  }
}

/// The place in the text that the resumed run had reached, if it is the same text.
data::LoaderState Training::where_to_go_on(const std::string& message, bool tokens_were_there) {
  if (!origin_.state) return {};
  const std::string& before = origin_.state->text;
  const bool same = before.empty() ? tokens_were_there : before == text_;
  if (same && !message.empty()) origin_.warnings.push_back(message);
  if (same) return origin_.state->loader;
  origin_.warnings.push_back(
      tokens_were_there
          ? "the token shards are not those that the run has read so far: they are read from their "
            "beginning"
          : fmt::format("{}{}the text was encoded anew and is read from its beginning", message,
                        message.empty() ? "" : ": "));
  return {};
}

void Training::open_loaders(const std::vector<data::TokenShard>& shards) {
  data::LoaderOptions loading;
  loading.batch = settings_.shape.batch;
  loading.seq = settings_.shape.seq;
  loading.seed = settings_.seed;
  loading.validation_fraction = kValidationShare;
  loading.vocab = origin_.config.vocab_size;
  // The host takes the micro-batches of a step in one go.
  loading.prefetch = static_cast<int>(
      std::clamp<std::int64_t>(settings_.shape.accumulate, loading.prefetch, kMostPrefetched));
  loading.on_wait = [this](auto began, auto ended) {
    queue_.timeline().add(WaitSpan{WaitReason::data, 0, clock_of(began), clock_of(ended)});
  };
  loader_ = std::make_unique<data::Loader>(shards, data::Loader::Split::train, loading,
                                           progress_.back().loader);
  data::Loader held_out(shards, data::Loader::Split::validation, loading);
  validator_ = std::make_unique<Validator>(*eval_step_, std::move(held_out), settings_.shape.batch,
                                           options_.eval_batches);
  announce(data::unigram_entropy(shards, loading));
}

void Training::announce(double unigram_entropy) {
  const std::size_t state_bytes =
      Optimizer::training_bytes(gpt_->parameters().size(), settings_.dtype);
  const std::int64_t every = options_.save_every;
  const auto next = every > 0 ? (first_step() / every + 1) * every : settings_.steps;
  if (every > 0 && (settings_.steps == 0 || next < settings_.steps)) {
    checkpoint_way_ = choose_checkpoint_way(*device_, gpt_->parameters(), options_.checkpoint,
                                            state_bytes + plan_->arena_bytes());
  }
  RunPlan plan;
  plan.device = device_->info().description;
  plan.dtype = settings_.dtype;
  plan.batch = settings_.shape.batch;
  plan.seq = settings_.shape.seq;
  plan.accumulate = settings_.shape.accumulate;
  plan.parameters = origin_.config.parameter_count();
  plan.tokens = text_tokens_;
  plan.start_step = first_step();
  plan.steps = settings_.steps;
  plan.minutes = settings_.minutes;
  plan.state_bytes = state_bytes;
  plan.activation_bytes = plan_->arena_bytes();
  plan.activation_bytes_unshared = plan_->total_bytes();
  plan.unigram_entropy = unigram_entropy;
  plan.corpus = corpus_stats_;
  plan.checkpoint_bytes = checkpoint_bytes(gpt_->parameters());
  plan.checkpoint_way = checkpoint_way_;
  plan.save_every = options_.save_every;
  observer_.on_plan(plan);
}

/// Before the run's directory is made, so that a model that cannot be read leaves nothing behind.
void Training::load_model() {
  if (origin_.model) {
    origin_.model->load_weights(queue_, *gpt_);
    origin_.model.reset();
  } else {
    initialize_weights(queue_, *gpt_, settings_.seed);
  }
  if (origin_.state) {
    load_optimizer(queue_, *gpt_, *optimizer_, origin_.state->optimizer, *origin_.weights);
  } else {
    initialize_optimizer(queue_, *optimizer_);
  }
}

void Training::load_state() {
  log_ =
      std::make_unique<MetricsLog>(options_.out / "metrics.jsonl",
                                   origin_.state ? origin_.state->step : -1, directory_->scratch());
  reporter_ = std::make_unique<StepReporter>(queue_, *log_, observer_, settings_.shape.tokens());
  if (!origin_.state) return;
  const TrainerState& state = *origin_.state;
  reporter_->resume_from(state.step, state.optimizer);
  reporter_->set_validation_losses(state.best_validation_loss, state.last_validation_loss);
  step_ = state.step;
}

void Training::open_checkpoints() {
  checkpoints_ = std::make_unique<Checkpoints>(
      Checkpoints::Parts{.queue = &queue_,
                         .directory = directory_.get(),
                         .log = log_.get(),
                         .reporter = reporter_.get(),
                         .validator = validator_.get(),
                         .observer = &observer_,
                         .optimizer = optimizer_.get(),
                         .model = {&gpt_->parameters(), &origin_.config, tokenizer_.get(),
                                   !device_->info().shares_host_memory}},
      checkpoint_way_, options_.keep, origin_.state.value_or(TrainerState{}));
}

void Training::warn_of_schedule() {
  const Schedule& schedule = settings_.schedule;
  if (settings_.steps == 0 || schedule.warmup < settings_.steps) return;
  origin_.warnings.push_back(fmt::format(
      "--warmup {} is as long as the run of {} steps: the rate never reaches --lr {:g}; use "
      "--warmup {}",
      schedule.warmup, settings_.steps, schedule.peak, settings_.steps / 10));
}

/// Spent training, over all resumes.
double Training::seconds() const {
  return seconds_since(began_) + (origin_.state ? origin_.state->seconds : 0.0);
}

bool Training::finished() const {
  return settings_.steps > 0 ? step_ >= settings_.steps : seconds() >= settings_.minutes * 60.0;
}

/// No evaluation of the last ones was better than one before them.
bool Training::stalled() const {
  return options_.early_stop > 0 && reporter_->evaluations_without_better() >= options_.early_stop;
}

float Training::learning_rate() const {
  if (settings_.steps > 0) return settings_.schedule.at(step_);
  // Bounded by time: the schedule runs over as many steps as this pace will make.
  Schedule paced = settings_.schedule;
  const double share = seconds() / (settings_.minutes * 60.0);
  paced.steps =
      static_cast<std::int64_t>(static_cast<double>(step_ + 1) / std::clamp(share, 1e-6, 1.0));
  return paced.at(step_);
}

/// The loader's next batch, with the dropout's key for this place in the run.
StepInputs Training::micro_batch(std::int64_t micro) {
  const StepInputs inputs = train_step_->inputs();
  const data::Batch batch = loader_->next();
  std::copy(batch.tokens.begin(), batch.tokens.end(), inputs.tokens().begin());
  std::copy(batch.targets.begin(), batch.targets.end(), inputs.targets().begin());
  progress_.back().loader = batch.after;
  const auto key =
      ops::philox4x32({static_cast<std::uint32_t>(step_), static_cast<std::uint32_t>(step_ >> 32),
                       static_cast<std::uint32_t>(micro), 2U},
                      {static_cast<std::uint32_t>(settings_.seed),
                       static_cast<std::uint32_t>(settings_.seed >> 32)});
  inputs.seed()[0] = static_cast<std::int32_t>(key[0]);
  inputs.seed()[1] = static_cast<std::int32_t>(key[1]);
  return inputs;
}

/// A long step is given up where `stop` comes; the weights stay those of the step before.
void Training::commit_step() {
  queue_.begin_step(step_ + 1);
  progress_.push_back({step_ + 1, progress_.back().loader});
  while (progress_.size() > static_cast<std::size_t>(options_.max_in_flight) + 2)
    progress_.pop_front();
  for (std::int64_t micro = 0; micro < settings_.shape.accumulate; ++micro) {
    if (stop_.load()) return train_step_->restart();
    train_step_->micro_batch(micro_batch(micro));
  }
  const float rate = learning_rate();
  const std::int64_t step = ++step_;
  train_step_->update({rate, kBeta1, kBeta2, kAdamEpsilon, settings_.weight_decay, settings_.clip},
                      [this, step, rate](const Completion& completion, const StepResult& result) {
                        reporter_->on_step(step, rate, completion, result);
                      });
}

void Training::evaluate() {
  evaluated_step_ = step_;
  validator_->evaluate([this, step = step_](double loss) { reporter_->on_evaluation(step, loss); });
}

/// What the host knows of the state behind the last step.
TrainerState Training::state() const {
  TrainerState state;
  state.step = step_;
  state.seed = settings_.seed;
  state.options = to_json(settings_);
  state.loader = progress_.back().loader;
  state.text = text_;
  state.seconds = seconds();
  state.tokens = step_ * settings_.shape.tokens();
  return state;
}

void Training::require_converging() const {
  if (!reporter_->diverged()) return;
  throw Error(fmt::format("step {}: the gradient was not finite {} times in a row; {}", step_,
                          kSkippedInRowLimit, checkpoints_->last_good()),
              "lower --lr, lengthen --warmup, or look for broken text");
}

/// Ends what is in flight. Where the run is to stop, work that has not begun is left undone, and
/// the run stands where its last whole step was.
void Training::wind_up() {
  interrupted_ = stop_.load();
  if (interrupted_) {
    queue_.abandon();
  } else if (evaluated_step_ != step_ && !reporter_->diverged()) {
    evaluate();
  }
  queue_.wait_idle(WaitReason::shutdown);
  if (!interrupted_) return;
  step_ = reporter_->last_step();
  while (progress_.back().step > step_) progress_.pop_back();
}

TrainSummary Training::run() {
  if (options_.trace) queue_.timeline().start_trace();
  const Usage before = queue_.usage();
  began_ = std::chrono::steady_clock::now();
  reporter_->begin();
  queue_.begin_step(step_);  // the first evaluation is one group of work, not many
  evaluate();
  while (!finished() && !stop_.load() && !reporter_->diverged() && !stalled() &&
         !checkpoints_->failed()) {
    commit_step();
    if (stop_.load()) break;
    if (due(options_.eval_every)) evaluate();
    if (due(options_.save_every) && !finished()) {
      checkpoints_->save(state(), evaluated_step_ == step_);
    }
  }
  wind_up();
  TrainSummary result = summary(before);
  require_converging();
  checkpoints_->finish(state());
  result.checkpoints = checkpoints_->reports();
  if (options_.trace) queue_.timeline().write_chrome_trace(*options_.trace);
  return result;
}

TrainSummary Training::summary(const Usage& before) const {
  const Usage after = queue_.usage();
  TrainSummary result;
  result.steps = reporter_->reported();
  result.last_step = step_;
  result.first_loss = reporter_->first_loss();
  result.last_loss = reporter_->last_loss();
  result.first_validation_loss = reporter_->first_validation_loss();
  result.last_validation_loss = reporter_->last_validation_loss();
  result.validated_step = reporter_->validated_step();
  result.seconds = seconds_since(began_);
  result.tokens_per_s =
      static_cast<double>(result.steps * settings_.shape.tokens()) / result.seconds;
  result.device_busy = after.device_busy(before);
  result.waits = (after - before).waits;
  result.skipped = reporter_->optimizer().skipped;
  result.peak_bytes = device_->peak_bytes();
  result.interrupted = interrupted_;
  result.early_stopped = stalled();
  return result;
}

}  // namespace

TrainSummary train(const TrainOptions& options, TrainObserver& observer,
                   const std::atomic<bool>& stop) {
  return Training(options, observer, stop).run();
}

}  // namespace cajal::train
