#include "ops/cudnn_attention.h"

// For builds without the CUDA backend.
namespace cajal::testing {

std::string cudnn_absence() { return "built without the CUDA backend"; }

void encode_cudnn(CommandBuffer&, const ops::AttentionArgs&,
                  const std::shared_ptr<std::string>& refusal) {
  *refusal = cudnn_absence();
}

void encode_cudnn(CommandBuffer&, const ops::AttentionBackwardArgs&,
                  const std::shared_ptr<std::string>& refusal) {
  *refusal = cudnn_absence();
}

}  // namespace cajal::testing
