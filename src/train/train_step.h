// One training step, recorded once and replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "cajal/command_queue.h"
#include "model/gpt.h"
#include "ops/adamw/adamw.h"
#include "train/optimizer.h"

namespace cajal::train {

struct StepShape {
  std::int64_t batch = 1;
  std::int64_t seq = 1;
  std::int64_t accumulate = 1;  ///< Micro-batches a step.

  std::int64_t micro_tokens() const { return batch * seq; }
  std::int64_t tokens() const { return micro_tokens() * accumulate; }
};

/// What changes from step to step, in a host block of the ring that one upload brings to the
/// device.
class StepInputs {
 public:
  /// Micro-batch `micro`: [batch,seq] ids, and the ids that follow them.
  std::span<std::int32_t> tokens(std::int64_t micro) const;
  std::span<std::int32_t> targets(std::int64_t micro) const;
  ops::AdamWHyper& hyper() const;
  /// Philox key of this step's dropout.
  std::span<std::int32_t, 2> seed() const;

 private:
  friend class TrainStep;
  friend class EvalStep;
  StepInputs(StepShape shape, std::shared_ptr<HostBlock> block);
  StepShape shape_;
  std::shared_ptr<HostBlock> block_;
};

/// What a step tells its completed handler.
struct StepResult {
  float loss = 0.0F;       ///< Mean over the step's targets that are not masked.
  float grad_norm = 0.0F;  ///< Before clipping.
  ops::AdamWState optimizer;
};

/// forward, compute_loss and backward for every micro-batch, then optimizer_step: one command
/// buffer, so that one commit makes one step, whatever the accumulation. Activations are reserved
/// until a MemoryPlan binds them.
class TrainStep {
 public:
  TrainStep(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer, StepShape shape,
            float dropout);

  const StepShape& shape() const { return shape_; }
  const std::shared_ptr<CommandBuffer>& commands() const { return commands_; }

  /// A free slot of the ring, to be filled and given to train_step.
  StepInputs inputs() const;

  /// Commits the step and returns without waiting. `completed` runs on the queue's handler thread.
  using Completed = std::function<void(const Completion&, const StepResult&)>;
  Ticket train_step(const StepInputs& inputs, Completed completed);

 private:
  void record(const model::Gpt& gpt, const Optimizer& optimizer, float dropout);

  CommandQueue* queue_;
  StepShape shape_;
  Buffer inputs_;
  Tensor loss_;
  Tensor norm_;
  Tensor optimizer_state_;
  std::shared_ptr<CommandBuffer> commands_;
};

/// Loss of one batch, without dropout or gradients.
class EvalStep {
 public:
  EvalStep(CommandQueue& queue, const model::Gpt& gpt, StepShape shape);

  const std::shared_ptr<CommandBuffer>& commands() const { return commands_; }
  StepInputs inputs() const;

  /// Commits one batch; `completed` gets its mean loss on the handler thread.
  Ticket eval_step(const StepInputs& inputs, std::function<void(float loss)> completed);

 private:
  CommandQueue* queue_;
  StepShape shape_;
  Buffer inputs_;
  Tensor loss_;
  std::shared_ptr<CommandBuffer> commands_;
};

}  // namespace cajal::train
