#include "train/train_step.h"

#include <cstring>
#include <utility>

#include "cajal/error.h"
#include "ops/fill/fill.h"

namespace cajal::train {
namespace {

constexpr std::size_t kWord = sizeof(std::int32_t);
constexpr std::size_t kHyperWords = sizeof(ops::AdamWHyper) / kWord;

/// Where each input lies in a slot, in bytes; the device's copy has the same layout.
struct InputLayout {
  explicit InputLayout(const StepShape& shape)
      : ids(static_cast<std::size_t>(shape.micro_tokens()) * kWord) {}

  std::size_t tokens() const { return 0; }
  std::size_t targets() const { return ids; }
  std::size_t seed() const { return 2 * ids; }
  std::size_t target_scale() const { return seed() + 2 * kWord; }
  std::size_t bytes() const { return target_scale() + kWord; }

  std::size_t ids;  ///< Bytes of one micro-batch's tokens.
};

/// The device's copy of a slot, as tensors.
struct InputTensors {
  InputTensors(const Buffer& buffer, const StepShape& shape) {
    const InputLayout layout(shape);
    const Shape rows{shape.batch, shape.seq};
    tokens = {buffer.slice(layout.tokens(), layout.ids), DType::i32, rows};
    targets = {buffer.slice(layout.targets(), layout.ids), DType::i32, rows};
    seed = {buffer.slice(layout.seed(), 2 * kWord), DType::i32, {2}};
    target_scale = {buffer.slice(layout.target_scale(), kWord), DType::f32, {1}};
  }
  Tensor tokens, targets, seed, target_scale;
};

Buffer allocate_inputs(Device& device, const StepShape& shape) {
  return device.allocate(InputLayout(shape).bytes(), "step inputs");
}

Tensor scalars(Device& device, const char* label, std::size_t count = 1) {
  return {device.allocate(count * sizeof(float), label),
          DType::f32,
          {static_cast<std::int64_t>(count)}};
}

template <class T>
T value_of(const HostBlock& block) {
  T value;
  std::memcpy(&value, block.data, sizeof(T));
  return value;
}

}  // namespace

StepInputs::StepInputs(StepShape shape, std::shared_ptr<HostBlock> block)
    : shape_(shape), block_(std::move(block)) {
  target_scale() = 1.0F / static_cast<float>(shape_.tokens());
}

std::span<std::int32_t> StepInputs::tokens() const {
  auto* first = reinterpret_cast<std::int32_t*>(block_->data + InputLayout(shape_).tokens());
  return {first, static_cast<std::size_t>(shape_.micro_tokens())};
}

std::span<std::int32_t> StepInputs::targets() const {
  auto* first = reinterpret_cast<std::int32_t*>(block_->data + InputLayout(shape_).targets());
  return {first, static_cast<std::size_t>(shape_.micro_tokens())};
}

std::span<std::int32_t, 2> StepInputs::seed() const {
  return std::span<std::int32_t, 2>(
      reinterpret_cast<std::int32_t*>(block_->data + InputLayout(shape_).seed()), 2);
}

float& StepInputs::target_scale() const {
  return *reinterpret_cast<float*>(block_->data + InputLayout(shape_).target_scale());
}

TrainStep::TrainStep(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                     StepShape shape, float dropout)
    : queue_(&queue),
      shape_(shape),
      inputs_(allocate_inputs(queue.device(), shape)),
      hyper_(scalars(queue.device(), "hyperparameters", kHyperWords)),
      loss_(scalars(queue.device(), "loss")),
      norm_(optimizer.norm()),
      optimizer_state_(optimizer.state()) {
  record(gpt, optimizer, dropout);
}

void TrainStep::record(const model::Gpt& gpt, const Optimizer& optimizer, float dropout) {
  const bool whole = shape_.accumulate == 1;
  update_ = queue_->command_buffer(whole ? "train step" : "update");
  first_ = whole ? update_ : queue_->command_buffer("first micro-batch");
  recordings_ = {first_};
  ops::zero(*first_, loss_);
  record_micro_batch(*first_, gpt, dropout, /*accumulate=*/false);
  if (!whole) {
    further_ = queue_->command_buffer("micro-batch");
    record_micro_batch(*further_, gpt, dropout, /*accumulate=*/true);
    recordings_.insert(recordings_.end(), {further_, update_});
  }
  optimizer.optimizer_step(*update_, hyper_);
}

void TrainStep::record_micro_batch(CommandBuffer& commands, const model::Gpt& gpt, float dropout,
                                   bool accumulate) const {
  const InputTensors inputs(inputs_, shape_);
  const model::Activations pass = gpt.forward(commands, inputs.tokens, {dropout, inputs.seed});
  gpt.compute_loss(commands, pass, inputs.targets, inputs.target_scale, loss_,
                   /*with_gradient=*/true);
  gpt.backward(commands, pass, accumulate);
}

StepInputs TrainStep::inputs() const {
  return {shape_, queue_->device().staging(InputLayout(shape_).bytes())};
}

void TrainStep::micro_batch(const StepInputs& inputs) {
  if (queued_ == shape_.accumulate) throw Error("a step has more micro-batches than it was given");
  const bool first = queued_++ == 0;
  if (shape_.accumulate == 1) {
    only_ = inputs;
    return;
  }
  queue_->commit(first ? first_ : further_, {.uploads = {{inputs.block_, inputs_}}});
}

Ticket TrainStep::update(const ops::AdamWHyper& hyper, Completed completed) {
  if (std::exchange(queued_, 0) != shape_.accumulate) {
    throw Error("a step is updated before all its micro-batches are queued");
  }
  Device& device = queue_->device();
  const auto hyper_block = device.staging(sizeof hyper);
  std::memcpy(hyper_block->data, &hyper, sizeof hyper);
  const auto loss = device.staging(sizeof(float));
  const auto norm = device.staging(sizeof(float));
  const auto state = device.staging(sizeof(ops::AdamWState));
  Submission submission;
  submission.uploads = {{hyper_block, hyper_.buffer}};
  if (only_) submission.uploads.push_back({only_->block_, inputs_});
  only_.reset();
  submission.downloads = {
      {loss_.buffer, loss}, {norm_.buffer, norm}, {optimizer_state_.buffer, state}};
  submission.completed = [=, completed = std::move(completed)](const Completion& completion) {
    completed(completion,
              {value_of<float>(*loss), value_of<float>(*norm), value_of<ops::AdamWState>(*state)});
  };
  return queue_->commit(update_, std::move(submission));
}

EvalStep::EvalStep(CommandQueue& queue, const model::Gpt& gpt, StepShape shape)
    : queue_(&queue),
      shape_(shape),
      inputs_(allocate_inputs(queue.device(), shape)),
      loss_(scalars(queue.device(), "evaluation loss")),
      commands_(queue.command_buffer("evaluation")) {
  const InputTensors inputs(inputs_, shape);
  ops::zero(*commands_, loss_);
  const model::Activations pass = gpt.forward(*commands_, inputs.tokens);
  gpt.compute_loss(*commands_, pass, inputs.targets, inputs.target_scale, loss_,
                   /*with_gradient=*/false);
}

StepInputs EvalStep::inputs() const {
  return {shape_, queue_->device().staging(InputLayout(shape_).bytes())};
}

Ticket EvalStep::eval_step(const StepInputs& inputs, std::function<void(float)> completed) {
  const auto loss = queue_->device().staging(sizeof(float));
  Submission submission;
  submission.uploads = {{inputs.block_, inputs_}};
  submission.downloads = {{loss_.buffer, loss}};
  submission.completed = [loss, completed = std::move(completed)](const Completion& completion) {
    if (completion.succeeded()) completed(value_of<float>(*loss));
  };
  return queue_->commit(commands_, std::move(submission));
}

}  // namespace cajal::train
