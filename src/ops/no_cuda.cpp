// Stands in for the CUDA kernels where the build has no CUDA toolkit.
#include <fmt/format.h>

#include "cajal/error.h"
#include "ops/adamw/backends.h"
#include "ops/attention/backends.h"
#include "ops/cross_entropy/backends.h"
#include "ops/dropout/backends.h"
#include "ops/embedding/backends.h"
#include "ops/fill/backends.h"
#include "ops/gelu/backends.h"
#include "ops/global_norm/backends.h"
#include "ops/layer_norm/backends.h"
#include "ops/linear/backends.h"
#include "ops/sampling/backends.h"

namespace cajal::ops::cuda_backend {
namespace {

[[noreturn]] void refuse(std::string_view operation) {
  throw InvalidArgument(fmt::format("{}: this build has no cuda backend", operation),
                        "use the device cpu, or build where the CUDA toolkit (nvcc) is installed");
}

}  // namespace

Kernel adamw(const AdamWArgs&) { refuse("adamw"); }
Kernel attention(const AttentionArgs&) { refuse("attention"); }
Kernel attention_backward(const AttentionBackwardArgs&) { refuse("attention_backward"); }
Kernel cached_attention(const CachedAttentionArgs&) { refuse("cached_attention"); }
Kernel cross_entropy(const CrossEntropyArgs&) { refuse("cross_entropy"); }
Kernel dropout(const DropoutArgs&) { refuse("dropout"); }
Kernel embedding(const EmbeddingArgs&) { refuse("embedding"); }
Kernel embedding_backward(const EmbeddingBackwardArgs&) { refuse("embedding_backward"); }
Kernel zero(const Tensor&) { refuse("zero"); }
Kernel convert(const ConvertArgs&) { refuse("convert"); }
Kernel gelu(const GeluArgs&) { refuse("gelu"); }
Kernel gelu_backward(const GeluBackwardArgs&) { refuse("gelu_backward"); }
Kernel global_norm(const GlobalNormArgs&) { refuse("global_norm"); }
Kernel layer_norm(const LayerNormArgs&) { refuse("layer_norm"); }
Kernel layer_norm_backward(const LayerNormBackwardArgs&) { refuse("layer_norm_backward"); }
Kernel linear(const LinearArgs&) { refuse("linear"); }
Kernel linear_backward_input(const LinearBackwardInputArgs&) { refuse("linear_backward_input"); }
Kernel linear_backward_weight(const LinearBackwardWeightArgs&) { refuse("linear_backward_weight"); }
Kernel sample(const SamplingArgs&) { refuse("sample"); }

}  // namespace cajal::ops::cuda_backend
