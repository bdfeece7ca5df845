// The backends of attention.
#pragma once

#include "ops/attention/attention.h"

namespace cajal::ops::cpu_backend {

/// Results are the same bits for any number of threads.
Kernel attention(const AttentionArgs& args);
Kernel attention_backward(const AttentionBackwardArgs& args);
Kernel cached_attention(const CachedAttentionArgs& args);

}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {

Kernel attention(const AttentionArgs& args);
Kernel attention_backward(const AttentionBackwardArgs& args);
Kernel cached_attention(const CachedAttentionArgs& args);

}  // namespace cajal::ops::cuda_backend
