#include "train/train_step.h"

#include <cstring>

#include "ops/cross_entropy/cross_entropy.h"
#include "ops/fill/fill.h"

namespace cajal::train {
namespace {

constexpr std::size_t kWord = sizeof(std::int32_t);
constexpr std::size_t kHyperWords = sizeof(ops::AdamWHyper) / kWord;

/// Where each input lies in a slot, in bytes; the device's copy has the same layout.
struct InputLayout {
  explicit InputLayout(const StepShape& shape)
      : ids(static_cast<std::size_t>(shape.tokens()) * kWord) {}

  std::size_t tokens() const { return 0; }
  std::size_t targets() const { return ids; }
  std::size_t hyper() const { return 2 * ids; }
  std::size_t seed() const { return hyper() + kHyperWords * kWord; }
  std::size_t bytes() const { return seed() + 2 * kWord; }

  std::size_t ids;  ///< Bytes of one step's tokens.
};

/// The device's copy of a slot, as tensors.
struct DeviceInputs {
  DeviceInputs(const Buffer& buffer, const StepShape& shape) {
    const InputLayout layout(shape);
    const Shape rows{shape.accumulate * shape.batch, shape.seq};
    tokens = {buffer.slice(layout.tokens(), layout.ids), DType::i32, rows};
    targets = {buffer.slice(layout.targets(), layout.ids), DType::i32, rows};
    hyper = {buffer.slice(layout.hyper(), kHyperWords * kWord), DType::f32, {kHyperWords}};
    seed = {buffer.slice(layout.seed(), 2 * kWord), DType::i32, {2}};
  }
  Tensor tokens, targets, hyper, seed;
};

Buffer allocate_inputs(Device& device, const StepShape& shape) {
  return device.allocate(InputLayout(shape).bytes(), "step inputs");
}

Tensor scalar(Device& device, const char* label) {
  return {device.allocate(sizeof(float), label), DType::f32, {1}};
}

template <class T>
T value_of(const HostBlock& block) {
  T value;
  std::memcpy(&value, block.data, sizeof(T));
  return value;
}

}  // namespace

StepInputs::StepInputs(StepShape shape, std::shared_ptr<HostBlock> block)
    : shape_(shape), block_(std::move(block)) {}

std::span<std::int32_t> StepInputs::tokens(std::int64_t micro) const {
  auto* first = reinterpret_cast<std::int32_t*>(block_->data + InputLayout(shape_).tokens());
  return {first + micro * shape_.micro_tokens(), static_cast<std::size_t>(shape_.micro_tokens())};
}

std::span<std::int32_t> StepInputs::targets(std::int64_t micro) const {
  auto* first = reinterpret_cast<std::int32_t*>(block_->data + InputLayout(shape_).targets());
  return {first + micro * shape_.micro_tokens(), static_cast<std::size_t>(shape_.micro_tokens())};
}

ops::AdamWHyper& StepInputs::hyper() const {
  return *reinterpret_cast<ops::AdamWHyper*>(block_->data + InputLayout(shape_).hyper());
}

std::span<std::int32_t, 2> StepInputs::seed() const {
  return std::span<std::int32_t, 2>(
      reinterpret_cast<std::int32_t*>(block_->data + InputLayout(shape_).seed()), 2);
}

TrainStep::TrainStep(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                     StepShape shape, float dropout)
    : queue_(&queue),
      shape_(shape),
      inputs_(allocate_inputs(queue.device(), shape)),
      loss_(scalar(queue.device(), "loss")),
      norm_(optimizer.norm()),
      optimizer_state_(optimizer.state()),
      commands_(queue.command_buffer("train step")) {
  record(gpt, optimizer, dropout);
}

void TrainStep::record(const model::Gpt& gpt, const Optimizer& optimizer, float dropout) {
  CommandBuffer& commands = *commands_;
  const DeviceInputs inputs(inputs_, shape_);
  const Tensor scale = scalar(queue_->device(), "loss scale");

  ops::zero(commands, loss_);
  ops::target_scale(commands, {.targets = inputs.targets, .scale = scale});
  for (std::int64_t micro = 0; micro < shape_.accumulate; ++micro) {
    const Tensor tokens = inputs.tokens.rows(micro * shape_.batch, shape_.batch);
    const Tensor targets = inputs.targets.rows(micro * shape_.batch, shape_.batch);
    const auto stream = static_cast<std::uint32_t>(micro) * gpt.streams_per_pass();
    const model::Activations pass = gpt.forward(commands, tokens, {dropout, inputs.seed, stream});
    gpt.compute_loss(commands, pass, targets, scale, loss_, /*with_gradient=*/true);
    gpt.backward(commands, pass, /*accumulate=*/micro > 0);
  }
  optimizer.optimizer_step(commands, inputs.hyper);
}

StepInputs TrainStep::inputs() const {
  return {shape_, queue_->device().staging(InputLayout(shape_).bytes())};
}

Ticket TrainStep::train_step(const StepInputs& inputs, Completed completed) {
  Device& device = queue_->device();
  const auto loss = device.staging(sizeof(float));
  const auto norm = device.staging(sizeof(float));
  const auto state = device.staging(sizeof(ops::AdamWState));
  Submission submission;
  submission.uploads = {{inputs.block_, inputs_}};
  submission.downloads = {
      {loss_.buffer, loss}, {norm_.buffer, norm}, {optimizer_state_.buffer, state}};
  submission.completed = [=, completed = std::move(completed)](const Completion& completion) {
    completed(completion,
              {value_of<float>(*loss), value_of<float>(*norm), value_of<ops::AdamWState>(*state)});
  };
  return queue_->commit(commands_, std::move(submission));
}

EvalStep::EvalStep(CommandQueue& queue, const model::Gpt& gpt, StepShape shape)
    : queue_(&queue),
      shape_(shape),
      inputs_(allocate_inputs(queue.device(), shape)),
      loss_(scalar(queue.device(), "evaluation loss")),
      commands_(queue.command_buffer("evaluation")) {
  const DeviceInputs inputs(inputs_, shape);
  const Tensor scale = scalar(queue.device(), "evaluation scale");
  ops::zero(*commands_, loss_);
  ops::target_scale(*commands_, {.targets = inputs.targets, .scale = scale});
  const model::Activations pass = gpt.forward(*commands_, inputs.tokens);
  gpt.compute_loss(*commands_, pass, inputs.targets, scale, loss_, /*with_gradient=*/false);
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
    if (!completion.fault) completed(value_of<float>(*loss));
  };
  return queue_->commit(commands_, std::move(submission));
}

}  // namespace cajal::train
