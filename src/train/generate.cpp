#include "train/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "cajal/command_queue.h"
#include "cajal/error.h"
#include "data/utf8.h"
#include "runtime/memory_plan.h"
#include "train/model_files.h"

namespace cajal::train {
namespace {

constexpr double kNanosecond = 1e-9;

void validate(const GenerateOptions& options) {
  const auto require = [](bool condition, const char* problem, const char* remedy) {
    if (!condition) throw InvalidArgument(problem, remedy);
  };
  const ops::SamplingOptions& sampling = options.sampling;
  require(options.max_tokens > 0, "--max-tokens must be at least 1", "");
  require(std::isfinite(sampling.temperature) && sampling.temperature >= 0.0F,
          "--temperature must be 0 or more", "0 takes the likeliest token");
  require(sampling.top_k >= 0, "--top-k must be 0 or more", "0 keeps all tokens");
  require(sampling.top_p > 0.0F && sampling.top_p <= 1.0F, "--top-p must be in (0, 1]",
          "1 keeps all tokens");
}

/// Hands out whole UTF-8 characters as their bytes arrive.
class CharacterStream {
 public:
  explicit CharacterStream(const TextSink& sink) : sink_(sink) {}

  void put(std::string_view bytes) {
    pending_ += bytes;
    const std::size_t ready = pending_.size() - data::incomplete_tail(pending_);
    if (ready > 0) sink_(std::string_view(pending_).substr(0, ready));
    pending_.erase(0, ready);
  }
  void finish() {
    if (!pending_.empty()) sink_(pending_);
    pending_.clear();
  }

 private:
  const TextSink& sink_;
  std::string pending_;
};

/// A prompt pass and a decode step, each recorded once. Token and position live on the device: a
/// decode step reads what the one before it has left there.
class Generator {
 public:
  Generator(const GenerateOptions& options, const ModelFiles& files, const TextSink& sink);
  GenerateSummary run(const std::atomic<bool>& stop);

 private:
  Tensor integers(const char* label, std::int64_t count);
  std::shared_ptr<const HostBlock> block(std::span<const std::int32_t> values);
  void record();
  Submission prompt_inputs();
  Submission token_delivery(std::int64_t index);
  void deliver(std::int64_t index, data::TokenId token, const Completion& completion);

  GenerateOptions options_;
  std::shared_ptr<Device> device_;
  model::GptConfig config_;
  std::shared_ptr<const data::Tokenizer> tokenizer_;
  std::vector<data::TokenId> prompt_;
  CharacterStream characters_;
  GenerateSummary summary_;
  Clock prompt_done_ = 0;
  Clock last_done_ = 0;
  std::atomic<bool> ended_{false};
  model::Gpt gpt_;
  CommandQueue queue_;  // after what its handlers use

  Tensor prompt_tokens_, token_, position_, prompt_end_, seed_;
  std::shared_ptr<CommandBuffer> prompt_pass_;
  std::shared_ptr<CommandBuffer> decode_step_;
};

Generator::Generator(const GenerateOptions& options, const ModelFiles& files, const TextSink& sink)
    : options_(options),
      device_(Device::open(options.device, {.threads = options.threads})),
      config_(files.config()),
      tokenizer_(files.require_tokenizer()),
      // As transformers does: a special token that is spelt out in the prompt is that token.
      prompt_(tokenizer_->encode(options.prompt, /*with_specials=*/true)),
      characters_(sink),
      gpt_(device_, config_, DType::f32, model::Purpose::inference),
      queue_(device_) {
  if (prompt_.empty()) prompt_.push_back(tokenizer_->end_of_text().value_or(0));
  const std::int64_t context = config_.n_positions;
  if (static_cast<std::int64_t>(prompt_.size()) > context) {
    throw InvalidArgument(
        fmt::format("--prompt is {} tokens long, the model's context {}", prompt_.size(), context),
        "shorten it");
  }
  files.load_weights(queue_, gpt_);
  record();
}

Tensor Generator::integers(const char* label, std::int64_t count) {
  return {device_->allocate(static_cast<std::size_t>(count) * sizeof(std::int32_t), label),
          DType::i32,
          {count}};
}

void Generator::record() {
  const auto prompt_size = static_cast<std::int64_t>(prompt_.size());
  prompt_tokens_ = integers("prompt", prompt_size);
  token_ = integers("token", 1);
  position_ = integers("position", 1);
  prompt_end_ = integers("prompt end", 1);
  seed_ = integers("sampling seed", 2);
  const model::KvCache cache = gpt_.make_cache(position_);

  const auto record_pass = [&](const char* label, const Tensor& tokens,
                               const Tensor& last_position) {
    const auto commands = queue_.command_buffer(label);
    const model::Activations pass = gpt_.forward_cached(*commands, tokens, cache);
    ops::sample(*commands, {.logits = pass.logits,
                            .seed = seed_,
                            .position = last_position,
                            .token = token_,
                            .next_position = position_,
                            .vocab = tokenizer_->vocab_size(),
                            .options = options_.sampling});
    return commands;
  };
  prompt_pass_ = record_pass("prompt", prompt_tokens_.reshape({1, prompt_size}), prompt_end_);
  decode_step_ = record_pass("decode", token_.reshape({1, 1}), position_);
  MemoryPlan({prompt_pass_, decode_step_}).bind(*device_);
}

std::shared_ptr<const HostBlock> Generator::block(std::span<const std::int32_t> values) {
  auto host = device_->staging(values.size_bytes());
  std::memcpy(host->data, values.data(), values.size_bytes());
  return host;
}

Submission Generator::prompt_inputs() {
  const std::int32_t begin = 0;
  const auto end = static_cast<std::int32_t>(prompt_.size()) - 1;
  const std::array<std::int32_t, 2> seed{static_cast<std::int32_t>(options_.seed),
                                         static_cast<std::int32_t>(options_.seed >> 32)};
  Submission submission = token_delivery(0);
  submission.uploads = {{block(prompt_), prompt_tokens_.buffer},
                        {block({&begin, 1}), position_.buffer},
                        {block({&end, 1}), prompt_end_.buffer},
                        {block(seed), seed_.buffer}};
  return submission;
}

Submission Generator::token_delivery(std::int64_t index) {
  const auto host = device_->staging(sizeof(data::TokenId));
  Submission submission;
  submission.downloads = {{token_.buffer, host}};
  submission.completed = [this, index, host](const Completion& completion) {
    if (completion.fault) return;
    data::TokenId token = 0;
    std::memcpy(&token, host->data, sizeof(token));
    deliver(index, token, completion);
  };
  return submission;
}

void Generator::deliver(std::int64_t index, data::TokenId token, const Completion& completion) {
  if (index == 0) prompt_done_ = completion.completed;
  if (ended_.load(std::memory_order_relaxed)) return;  // was in flight behind the end
  if (token == tokenizer_->end_of_text()) {
    summary_.end_of_text = true;
    ended_.store(true, std::memory_order_relaxed);
    return;
  }
  last_done_ = completion.completed;
  ++summary_.new_tokens;
  characters_.put(tokenizer_->bytes_of(token));
}

GenerateSummary Generator::run(const std::atomic<bool>& stop) {
  const auto prompt_size = static_cast<std::int64_t>(prompt_.size());
  const std::int64_t room = config_.n_positions - prompt_size + 1;
  const std::int64_t wanted = std::min(options_.max_tokens, room);
  queue_.wait_idle(WaitReason::generation);
  const Usage before = queue_.usage();

  queue_.begin_step(0);
  queue_.commit(prompt_pass_, prompt_inputs());
  for (std::int64_t i = 1; i < wanted && !stop.load() && !ended_.load(std::memory_order_relaxed);
       ++i) {
    queue_.begin_step(i);
    queue_.commit(decode_step_, token_delivery(i));
  }
  queue_.wait_idle(WaitReason::generation);
  characters_.finish();

  summary_.prompt_tokens = prompt_size;
  summary_.prompt_seconds = static_cast<double>(prompt_done_ - before.at) * kNanosecond;
  summary_.seconds =
      static_cast<double>(std::max(last_done_ - prompt_done_, Clock{0})) * kNanosecond;
  summary_.host_waits = (queue_.usage() - before).host_waits();
  summary_.context_full =
      !summary_.end_of_text && summary_.new_tokens == room && room < options_.max_tokens;
  return summary_;
}

}  // namespace

GenerateSummary generate(const GenerateOptions& options, const TextSink& sink,
                         const std::atomic<bool>& stop) {
  validate(options);
  auto files = std::make_unique<const ModelFiles>(ModelFiles::open(options.directory));
  Generator generator(options, *files, sink);
  files.reset();  // the folder may change while text is made
  return generator.run(stop);
}

}  // namespace cajal::train
