// The backends of embedding.
#pragma once

#include "ops/embedding/embedding.h"

namespace cajal::ops::cpu_backend {
Kernel embedding(const EmbeddingArgs& args);
Kernel embedding_backward(const EmbeddingBackwardArgs& args);
}  // namespace cajal::ops::cpu_backend
