// The ways in which a CUDA device computes attention, each by itself, whatever the operation would
// choose.
#pragma once

#include <memory>
#include <string>

#include "cajal/command_buffer.h"
#include "ops/attention/attention.h"

namespace cajal::testing {

/// Why no shape can be tried; empty where there is cuDNN.
std::string cudnn_absence();

/// Records cuDNN's attention. Once it runs, `refusal` says why nothing was launched, if so.
void encode_cudnn(CommandBuffer& commands, const ops::AttentionArgs& args,
                  const std::shared_ptr<std::string>& refusal);
void encode_cudnn(CommandBuffer& commands, const ops::AttentionBackwardArgs& args,
                  const std::shared_ptr<std::string>& refusal);

/// Records the kernel for Hopper likewise.
void encode_wgmma(CommandBuffer& commands, const ops::AttentionBackwardArgs& args,
                  const std::shared_ptr<std::string>& refusal);

}  // namespace cajal::testing
