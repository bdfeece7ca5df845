#include "train/trainer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "cajal/error.h"
#include "data/loader.h"
#include "data/unigram.h"
#include "model/presets.h"
#include "ops/philox.h"
#include "runtime/memory_plan.h"
#include "train/checkpoint.h"
#include "train/evaluator.h"
#include "train/memory_check.h"
#include "train/run_directory.h"
#include "train/step_reporter.h"
#include "train/training_text.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

constexpr double kValidationShare = 0.02;
constexpr float kBeta1 = 0.9F;
constexpr float kBeta2 = 0.95F;
constexpr float kAdamEpsilon = 1e-8F;

/// What a run starts from, read before anything is written.
struct Start {
  std::optional<TrainerState> state;  ///< Of the run to be resumed.
  std::optional<fs::path> weights;    ///< Folder with a model to begin with.
  Settings settings;
  model::GptConfig config;
  std::vector<std::string> warnings;
};

Start resume_start(const TrainOptions& options) {
  if (options.init) throw InvalidArgument("--resume and --init exclude each other", "give one");
  const auto latest = RunDirectory::find_whole(options.out);
  if (!latest) {
    throw InvalidArgument(
        fmt::format("{} holds no checkpoint to resume from", options.out.string()),
        "leave --resume away to begin a run there");
  }
  Start start;
  start.state = load_trainer_state(*latest);
  start.weights = latest;
  const Settings saved = settings_from_json(start.state->options);
  start.settings = resolve_settings(options, &saved);
  start.warnings = check_resumed(saved, start.settings);
  start.config = load_config(*latest);
  return start;
}

/// The preset whose recipe suits a model from elsewhere: the smallest as wide and as deep.
std::string preset_like(const model::GptConfig& config) {
  const auto& presets = model::presets();
  const auto found = std::find_if(presets.begin(), presets.end(), [&](const model::Preset& preset) {
    return preset.config.n_embd >= config.n_embd && preset.config.n_layer >= config.n_layer;
  });
  return std::string(found == presets.end() ? presets.back().name : found->name);
}

Start fresh_start(const TrainOptions& options) {
  if (RunDirectory::find(options.out)) {
    throw InvalidArgument(fmt::format("{} already holds a run", options.out.string()),
                          "add --resume to go on with it, or name another --out");
  }
  Start start;
  if (options.init) {
    start.config = load_config(*options.init);
    TrainOptions like = options;
    like.preset = preset_like(start.config);
    start.settings = resolve_settings(like, nullptr);
    start.weights = options.init;
    if (options.vocab_size && *options.vocab_size != start.config.vocab_size) {
      throw InvalidArgument(
          fmt::format("--vocab-size {} is not that of {}", *options.vocab_size,
                      options.init->string()),
          fmt::format("leave it away; the model has {}", start.config.vocab_size));
    }
    start.settings.vocab_size = start.config.vocab_size;
    if (!options.seq) start.settings.shape.seq = start.config.n_positions;
  } else {
    start.settings = resolve_settings(options, nullptr);
    start.config = model::preset_config(start.settings.preset);
    start.config.vocab_size = start.settings.vocab_size;
  }
  return start;
}

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

/// One run, from its options to its last checkpoint.
class Training {
 public:
  Training(const TrainOptions& options, TrainObserver& observer, const std::atomic<bool>& stop);
  TrainSummary run();

 private:
  void on_stage(std::string_view stage, double share);
  void open_text();
  void open_loaders(const std::vector<data::TokenShard>& shards);
  void load_state();
  void announce(double unigram_entropy);
  void commit_step();
  void evaluate();
  void save_checkpoint();
  void require_finite() const;
  bool finished() const;
  float learning_rate() const;
  bool due(std::int64_t every) const { return every > 0 && step_ % every == 0; }
  TrainSummary summary(const Usage& before, bool interrupted);

  TrainOptions options_;
  TrainObserver& observer_;
  const std::atomic<bool>& stop_;
  Start start_;
  const Settings& settings_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<model::Gpt> gpt_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<data::Tokenizer> tokenizer_;
  std::unique_ptr<RunDirectory> directory_;
  std::unique_ptr<MetricsLog> log_;
  std::unique_ptr<StepReporter> reporter_;
  // The queue is declared after everything that its handlers use, so that it is drained first.
  CommandQueue queue_;
  std::unique_ptr<TrainStep> train_step_;
  std::unique_ptr<EvalStep> eval_step_;
  std::unique_ptr<MemoryPlan> plan_;
  std::unique_ptr<data::Loader> loader_;
  std::unique_ptr<Evaluator> evaluator_;
  data::LoaderState loader_state_;
  data::CorpusStats corpus_stats_;
  std::int64_t text_tokens_ = 0;

  std::int64_t step_ = 0;  ///< Steps committed, resumed ones included.
  std::int64_t saved_step_ = -1;
  std::chrono::steady_clock::time_point began_;
};

Training::Training(const TrainOptions& options, TrainObserver& observer,
                   const std::atomic<bool>& stop)
    : options_(options),
      observer_(observer),
      stop_(stop),
      start_(options.resume ? resume_start(options) : fresh_start(options)),
      settings_(start_.settings),
      device_(Device::open(options.device, {.threads = options.threads})),
      queue_(device_, {options.max_in_flight, options.sync}) {
  require_fits(settings_, start_.config);
  require_state_fits(*device_, start_.config, settings_.dtype, settings_.shape);
  gpt_ = std::make_unique<model::Gpt>(device_, start_.config, settings_.dtype);
  optimizer_ = std::make_unique<Optimizer>(*device_, gpt_->parameters());
  train_step_ =
      std::make_unique<TrainStep>(queue_, *gpt_, *optimizer_, settings_.shape, settings_.dropout);
  const StepShape eval_shape{settings_.shape.batch, settings_.shape.seq, 1};
  eval_step_ = std::make_unique<EvalStep>(queue_, *gpt_, eval_shape);
  plan_ =
      std::make_unique<MemoryPlan>(std::vector{train_step_->commands(), eval_step_->commands()});
  require_activations_fit(*device_, start_.config, settings_.dtype, settings_.shape,
                          plan_->arena_bytes());

  open_text();
  load_state();
  plan_->bind(*device_);
  for (const std::string& warning : start_.warnings) observer_.on_warning(warning);
}

/// Before the first step there is nothing to save, and `stop` ends the run where it is.
void Training::on_stage(std::string_view stage, double share) {
  observer_.on_stage(stage, share);
  if (!stop_.load()) return;
  throw Interrupted(start_.state ? fmt::format("stopped before the first step; {} is as it was",
                                               options_.out.string())
                                 : std::string("stopped before the first step; nothing was saved"));
}

void Training::open_text() {
  TextSource::Encoded encoded;
  if (options_.resume) encoded = TextSource::encoded_in(options_.out, settings_);
  std::optional<TextSource> source = std::move(encoded.source);
  const bool same_tokens = source.has_value();
  if (!source) source = TextSource::open(settings_);
  if (start_.weights) tokenizer_ = load_tokenizer(*start_.weights);

  directory_ = std::make_unique<RunDirectory>(
      options_.out, start_.state ? RunDirectory::Use::resume : RunDirectory::Use::begin);
  for (const std::string& warning : directory_->warnings()) start_.warnings.push_back(warning);
  saved_step_ = directory_->latest_step();
  if (options_.trace) require_writable(*options_.trace);
  const auto progress = [this](std::string_view stage, double share) { on_stage(stage, share); };
  if (source->is_text() && !tokenizer_) {
    if (start_.weights) {
      throw InvalidArgument(
          fmt::format("{} has no tokenizer to read text with", start_.weights->string()),
          "name token shards (.bin) instead");
    }
    tokenizer_ = source->train_tokenizer(settings_, options_.threads, progress);
  }
  const auto shards = source->shards(*directory_, settings_, tokenizer_ ? &*tokenizer_ : nullptr,
                                     options_.threads, progress);
  corpus_stats_ = source->stats();
  for (const data::TokenShard& shard : shards) text_tokens_ += shard.count();

  if (start_.state && (same_tokens || !source->is_text())) {
    if (!encoded.message.empty()) start_.warnings.push_back(encoded.message);
    loader_state_ = start_.state->loader;
  } else if (start_.state) {
    start_.warnings.push_back(
        fmt::format("{}{}the text was encoded anew and is read from its beginning", encoded.message,
                    encoded.message.empty() ? "" : ": "));
  }
  try {
    open_loaders(shards);
  } catch (const InvalidArgument&) {
    if (!start_.state) TextSource::discard(*directory_);
    throw;
  }
}

void Training::open_loaders(const std::vector<data::TokenShard>& shards) {
  data::LoaderOptions loading;
  loading.batch = settings_.shape.batch;
  loading.seq = settings_.shape.seq;
  loading.seed = settings_.seed;
  loading.validation_fraction = kValidationShare;
  loading.vocab = start_.config.vocab_size;
  loader_ =
      std::make_unique<data::Loader>(shards, data::Loader::Split::train, loading, loader_state_);
  data::Loader held_out(shards, data::Loader::Split::validation, loading);
  evaluator_ = std::make_unique<Evaluator>(*eval_step_, std::move(held_out), settings_.shape.batch,
                                           options_.eval_batches);
  announce(data::unigram_entropy(shards, loading));
}

void Training::announce(double unigram_entropy) {
  RunPlan plan;
  plan.device = device_->info().description;
  plan.dtype = settings_.dtype;
  plan.batch = settings_.shape.batch;
  plan.seq = settings_.shape.seq;
  plan.accumulate = settings_.shape.accumulate;
  plan.parameters = start_.config.parameter_count();
  plan.tokens = text_tokens_;
  plan.start_step = start_.state ? start_.state->step : 0;
  plan.steps = settings_.steps;
  plan.minutes = settings_.minutes;
  plan.state_bytes = Optimizer::training_bytes(gpt_->parameters().size(), settings_.dtype);
  plan.activation_bytes = plan_->arena_bytes();
  plan.activation_bytes_unshared = plan_->total_bytes();
  plan.unigram_entropy = unigram_entropy;
  plan.corpus = corpus_stats_;
  observer_.on_plan(plan);
}

void Training::load_state() {
  log_ =
      std::make_unique<MetricsLog>(options_.out / "metrics.jsonl",
                                   start_.state ? start_.state->step : -1, directory_->scratch());
  reporter_ = std::make_unique<StepReporter>(queue_, *log_, observer_, settings_.shape.tokens());
  if (start_.weights) {
    load_weights(queue_, *gpt_, *start_.weights);
  } else {
    initialize_weights(queue_, *gpt_, settings_.seed);
  }
  if (!start_.state) {
    initialize_optimizer(queue_, *optimizer_);
    return;
  }
  const TrainerState& state = *start_.state;
  load_optimizer(queue_, *gpt_, *optimizer_, state.optimizer, *start_.weights);
  reporter_->set_optimizer(state.optimizer);
  reporter_->set_validation_losses(state.best_validation_loss, state.last_validation_loss);
  step_ = state.step;
}

bool Training::finished() const {
  return settings_.steps > 0 ? step_ >= settings_.steps
                             : seconds_since(began_) >= settings_.minutes * 60.0;
}

float Training::learning_rate() const {
  if (settings_.steps > 0) return settings_.schedule.at(step_);
  // Bounded by time: the schedule runs over as many steps as this pace will make.
  Schedule paced = settings_.schedule;
  const double share = seconds_since(began_) / (settings_.minutes * 60.0);
  paced.steps =
      static_cast<std::int64_t>(static_cast<double>(step_ + 1) / std::clamp(share, 1e-6, 1.0));
  return paced.at(step_);
}

void Training::commit_step() {
  queue_.begin_step(step_ + 1);
  const StepInputs inputs = train_step_->inputs();
  for (std::int64_t micro = 0; micro < settings_.shape.accumulate; ++micro) {
    const data::Batch batch = loader_->next();
    std::copy(batch.tokens.begin(), batch.tokens.end(), inputs.tokens(micro).begin());
    std::copy(batch.targets.begin(), batch.targets.end(), inputs.targets(micro).begin());
    loader_state_ = batch.after;
  }
  const float rate = learning_rate();
  inputs.hyper() = {rate, kBeta1, kBeta2, kAdamEpsilon, settings_.weight_decay, settings_.clip};
  const auto key = ops::philox4x32(
      {static_cast<std::uint32_t>(step_), static_cast<std::uint32_t>(step_ >> 32), 0U, 2U},
      {static_cast<std::uint32_t>(settings_.seed),
       static_cast<std::uint32_t>(settings_.seed >> 32)});
  inputs.seed()[0] = static_cast<std::int32_t>(key[0]);
  inputs.seed()[1] = static_cast<std::int32_t>(key[1]);

  const std::int64_t step = ++step_;
  train_step_->train_step(
      inputs, [this, step, rate](const Completion& completion, const StepResult& result) {
        reporter_->on_step(step, rate, completion, result);
      });
}

void Training::evaluate() {
  evaluator_->evaluate([this, step = step_](double loss) { reporter_->on_evaluation(step, loss); });
}

void Training::save_checkpoint() {
  if (saved_step_ == step_) return;
  queue_.wait_idle(WaitReason::checkpoint);
  require_finite();
  TrainerState state;
  state.step = step_;
  state.seed = settings_.seed;
  state.options = to_json(settings_);
  state.loader = loader_state_;
  state.optimizer = reporter_->optimizer();
  state.seconds = seconds_since(began_) + (start_.state ? start_.state->seconds : 0.0);
  state.tokens = step_ * settings_.shape.tokens();
  state.best_validation_loss = reporter_->best_validation_loss();
  state.last_validation_loss = reporter_->last_validation_loss();
  log_->sync();
  const auto warnings =
      directory_->publish(step_, state.last_validation_loss, [&](const fs::path& folder) {
        return train::save_checkpoint(queue_, *gpt_, *optimizer_,
                                      tokenizer_ ? &*tokenizer_ : nullptr, state, folder);
      });
  for (const std::string& warning : warnings) observer_.on_warning(warning);
  saved_step_ = step_;
  reporter_->begin();  // nothing is in flight, and a checkpoint's time is no step's
  observer_.on_checkpoint(step_, options_.out);
}

void Training::require_finite() const {
  if (!reporter_->diverged()) return;
  const std::string kept = saved_step_ < 0
                               ? "no checkpoint was saved before it"
                               : fmt::format("the last good checkpoint is step {} in {}",
                                             saved_step_, options_.out.string());
  throw Error(fmt::format("step {}: the gradient was not finite {} times in a row; {}", step_,
                          kSkippedInRowLimit, kept),
              "lower --lr, lengthen --warmup, or look for broken text");
}

TrainSummary Training::run() {
  if (options_.trace) queue_.timeline().start_trace();
  const Usage before = queue_.usage();
  began_ = std::chrono::steady_clock::now();
  reporter_->begin();
  queue_.begin_step(step_);  // the first evaluation is one group of work, not many
  evaluate();
  while (!finished() && !stop_.load() && !reporter_->diverged()) {
    commit_step();
    if (due(options_.eval_every)) evaluate();
    if (due(options_.save_every)) save_checkpoint();
  }
  const bool interrupted = stop_.load();
  if (!interrupted && !due(options_.eval_every)) evaluate();
  queue_.wait_idle(WaitReason::shutdown);
  const TrainSummary result = summary(before, interrupted);
  require_finite();
  save_checkpoint();
  if (options_.trace) queue_.timeline().write_chrome_trace(*options_.trace);
  return result;
}

TrainSummary Training::summary(const Usage& before, bool interrupted) {
  const Usage after = queue_.usage();
  TrainSummary result;
  result.steps = reporter_->reported();
  result.last_step = step_;
  result.first_loss = reporter_->first_loss();
  result.last_loss = reporter_->last_loss();
  result.first_validation_loss = reporter_->first_validation_loss();
  result.last_validation_loss = reporter_->last_validation_loss();
  result.seconds = seconds_since(began_);
  result.tokens_per_s =
      static_cast<double>(result.steps * settings_.shape.tokens()) / result.seconds;
  result.device_busy = after.device_busy(before);
  result.waits = (after - before).waits;
  result.skipped = reporter_->optimizer().skipped;
  result.peak_bytes = device_->peak_bytes();
  result.interrupted = interrupted;
  return result;
}

}  // namespace

TrainSummary train(const TrainOptions& options, TrainObserver& observer,
                   const std::atomic<bool>& stop) {
  return Training(options, observer, stop).run();
}

}  // namespace cajal::train
