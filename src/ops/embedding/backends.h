// The backends of embedding.
#pragma once

#include "cajal/error.h"
#include "ops/embedding/embedding.h"

namespace cajal::ops {

/// The fault of the token at `index` of a [B,length] tensor.
Error token_outside(std::int64_t index, std::int64_t length, std::int32_t id, std::int64_t vocab);

/// The fault of positions [position, position + length) of a table of `positions` rows.
Error positions_outside(std::int32_t position, std::int64_t length, std::int64_t positions);

}  // namespace cajal::ops

namespace cajal::ops::cpu_backend {
Kernel embedding(const EmbeddingArgs& args);
Kernel embedding_backward(const EmbeddingBackwardArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel embedding(const EmbeddingArgs& args);
Kernel embedding_backward(const EmbeddingBackwardArgs& args);
}  // namespace cajal::ops::cuda_backend
