#include "ops/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "cajal/error.h"

namespace cajal::ops {

void require(bool condition, std::string_view operation, std::string_view problem) {
  if (!condition) throw InvalidArgument(fmt::format("{}: {}", operation, problem));
}

void require_present(std::string_view operation, std::string_view argument, const Tensor& tensor) {
  if (!tensor) throw InvalidArgument(fmt::format("{}: {} is missing", operation, argument));
}

void require_shape(std::string_view operation, std::string_view argument, const Tensor& tensor,
                   const Shape& shape) {
  require_present(operation, argument, tensor);
  if (tensor.shape != shape) {
    throw InvalidArgument(fmt::format("{}: {} has shape {}, needs {}", operation, argument,
                                      to_string(tensor.shape), to_string(shape)));
  }
}

void require_dtype(std::string_view operation, std::string_view argument, const Tensor& tensor,
                   std::initializer_list<DType> allowed) {
  require_present(operation, argument, tensor);
  if (std::find(allowed.begin(), allowed.end(), tensor.dtype) == allowed.end()) {
    throw InvalidArgument(fmt::format("{}: {} has element type {}, which it does not take",
                                      operation, argument, name_of(tensor.dtype)));
  }
}

void require_no_partial_overlap(std::string_view operation, std::string_view out_name,
                                const Tensor& out, std::string_view other_name,
                                const Tensor& other) {
  const bool same = out.buffer.storage() == other.buffer.storage() &&
                    out.buffer.offset() == other.buffer.offset() &&
                    out.buffer.size() == other.buffer.size();
  if (!same) require_disjoint(operation, out_name, out, other_name, other);
}

void require_disjoint(std::string_view operation, std::string_view out_name, const Tensor& out,
                      std::string_view other_name, const Tensor& other) {
  if (!out || !other || !out.buffer.overlaps(other.buffer)) return;
  throw InvalidArgument(fmt::format("{}: {} overlaps {}", operation, out_name, other_name));
}

std::int64_t row_count(const Tensor& tensor) {
  return tensor.shape.empty() || tensor.shape.back() == 0 ? 0 : tensor.size() / tensor.shape.back();
}

}  // namespace cajal::ops
