// What each backend offers for attention.
#pragma once

#include "ops/attention/attention.h"

namespace cajal::ops {

/// Results are the same bits for any number of threads.
Kernel attention_cpu(const AttentionArgs& args);
Kernel attention_backward_cpu(const AttentionBackwardArgs& args);
Kernel cached_attention_cpu(const CachedAttentionArgs& args);

}  // namespace cajal::ops
