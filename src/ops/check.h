// Shape and dtype checks that every operation's contract makes before it records.
#pragma once

#include <initializer_list>
#include <string_view>

#include "cajal/tensor.h"

namespace cajal::ops {

/// Each throws InvalidArgument that names the operation, the argument and both sides of the
/// mismatch.
void require(bool condition, std::string_view operation, std::string_view problem);
void require_present(std::string_view operation, std::string_view argument, const Tensor& tensor);
void require_shape(std::string_view operation, std::string_view argument, const Tensor& tensor,
                   const Shape& shape);
void require_dtype(std::string_view operation, std::string_view argument, const Tensor& tensor,
                   std::initializer_list<DType> allowed);

/// `out` may be the very memory of `other`, but not share a part of it.
void require_no_partial_overlap(std::string_view operation, std::string_view out_name,
                                const Tensor& out, std::string_view other_name,
                                const Tensor& other);
/// The two share no byte. Absent tensors share none.
void require_disjoint(std::string_view operation, std::string_view out_name, const Tensor& out,
                      std::string_view other_name, const Tensor& other);

/// Product of all dimensions but the last: an activation seen as a matrix of rows.
std::int64_t row_count(const Tensor& tensor);

}  // namespace cajal::ops
