// What follows a matrix product where the library does not fuse it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cajal/dtype.h"
#include "runtime/cuda/context.h"

namespace cajal::ops {

/// A row-major matrix on the device.
struct CudaMatrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// x += bias, a value a column; with `gelu`: also gelu = gelu(x), from x as stored.
struct BiasGelu {
  CudaMatrix x;
  const void* bias = nullptr;  ///< May be null.
  DType bias_dtype = DType::f32;
  void* gelu = nullptr;  ///< May be null.
  DType gelu_dtype = DType::f32;
};
void add_bias_gelu(CudaContext& context, const BiasGelu& args);

/// dx *= gelu'(x); both of one type.
void multiply_gelu_gradient(CudaContext& context, const CudaMatrix& dx, const void* x);

/// sums[j] = sum_i x[i,j], or added to it, in f32 and a fixed order.
struct ColumnSums {
  CudaMatrix x;
  float* sums = nullptr;
  bool accumulate = false;
  float* partial = nullptr;  ///< column_sums_scratch(x) bytes.
};
std::size_t column_sums_scratch(const CudaMatrix& x);
void column_sums(CudaContext& context, const ColumnSums& args);

/// to[i] = from[i] in the other type, one f32 and one bf16.
void convert_vector(CudaContext& context, const void* from, DType from_dtype, void* to,
                    std::int64_t count);

/// to[i] += from[i].
void add_vector(CudaContext& context, const float* from, float* to, std::int64_t count);

}  // namespace cajal::ops
