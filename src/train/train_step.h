// One training step, recorded once and replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

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

/// What changes from micro-batch to micro-batch, in a host block of the ring that one upload brings
/// to the device.
class StepInputs {
 public:
  std::span<std::int32_t> tokens() const;   ///< [batch,seq] ids.
  std::span<std::int32_t> targets() const;  ///< The ids that follow them.
  /// Philox key of this micro-batch's dropout.
  std::span<std::int32_t, 2> seed() const;
  /// One over the targets of the whole step. Set to that of a step without masked targets.
  float& target_scale() const;

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

/// forward, compute_loss and backward of one micro-batch, replayed for each of the step's, then
/// optimizer_step. What is recorded and planned does not grow with the number of micro-batches; a
/// step of one micro-batch is one command buffer. Activations are reserved until a MemoryPlan binds
/// them.
class TrainStep {
 public:
  TrainStep(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer, StepShape shape,
            float dropout);

  const StepShape& shape() const { return shape_; }
  /// All recordings, for one MemoryPlan.
  const std::vector<std::shared_ptr<CommandBuffer>>& recordings() const { return recordings_; }

  /// A free slot of the ring, to be filled and given to micro_batch.
  StepInputs inputs() const;

  /// Queues the step's next micro-batch and returns without waiting. The first one after update()
  /// (or after restart()) puts its gradients in the place of the last step's, the rest add to them.
  void micro_batch(const StepInputs& inputs);

  /// Gives up the micro-batches queued since the last update(): the weights stay as they are.
  void restart() { queued_ = 0; }

  /// Queues the update behind the step's micro-batches and returns without waiting. `completed`
  /// runs on the queue's handler thread once the whole step is done.
  using Completed = std::function<void(const Completion&, const StepResult&)>;
  Ticket update(const ops::AdamWHyper& hyper, Completed completed);

 private:
  void record(const model::Gpt& gpt, const Optimizer& optimizer, float dropout);
  void record_micro_batch(CommandBuffer& commands, const model::Gpt& gpt, float dropout,
                          bool accumulate) const;

  CommandQueue* queue_;
  StepShape shape_;
  Buffer inputs_;  ///< The running micro-batch's, on the device.
  Tensor hyper_;
  Tensor loss_;
  Tensor norm_;
  Tensor optimizer_state_;
  // A step of one micro-batch is `update_` alone, which holds everything.
  std::shared_ptr<CommandBuffer> first_;
  std::shared_ptr<CommandBuffer> further_;
  std::shared_ptr<CommandBuffer> update_;
  std::vector<std::shared_ptr<CommandBuffer>> recordings_;
  std::int64_t queued_ = 0;         ///< Micro-batches of the step being made.
  std::optional<StepInputs> only_;  ///< The one micro-batch, until its update.
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
