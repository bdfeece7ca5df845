#include "ops/cuda_attention.h"

// For builds without the CUDA backend.
namespace cajal::testing {
namespace {

constexpr const char* kAbsence = "built without the CUDA backend";

}  // namespace

std::string cudnn_absence() { return kAbsence; }

void encode_cudnn(CommandBuffer&, const ops::AttentionArgs&,
                  const std::shared_ptr<std::string>& refusal) {
  *refusal = kAbsence;
}

void encode_cudnn(CommandBuffer&, const ops::AttentionBackwardArgs&,
                  const std::shared_ptr<std::string>& refusal) {
  *refusal = kAbsence;
}

void encode_wgmma(CommandBuffer&, const ops::AttentionBackwardArgs&,
                  const std::shared_ptr<std::string>& refusal) {
  *refusal = kAbsence;
}

}  // namespace cajal::testing
