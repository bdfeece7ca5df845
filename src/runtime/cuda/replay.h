// A recorded command buffer as a CUDA graph.
#pragma once

#include <vector>

#include "cajal/command_buffer.h"
#include "runtime/cuda/context.h"

namespace cajal {

/// Replays run the same kernels on the same addresses as launching each command would; commands
/// that do not depend on each other may run at once.
class Replay {
 public:
  /// Captures all commands of `buffer`. Every one of them must have run before, so that libraries
  /// have made their plans.
  Replay(CudaContext& context, const CommandBuffer& buffer);

  void launch(cudaStream_t stream) const;

  /// Words that its kernels may write.
  const std::vector<CudaContext::Fault>& faults() const { return faults_; }

 private:
  CudaGraphExec executable_;
  std::vector<CudaContext::Fault> faults_;
};

/// Runs one command's closure, which launches its kernels into the context's stream of `lane`.
/// Profilers see a range of the operation's name.
void launch_command(CudaContext& context, const Command& command, std::size_t lane);

}  // namespace cajal
