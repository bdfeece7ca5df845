// Matrix products by cuBLASLt, with the algorithm chosen by timing.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cajal/dtype.h"
#include "runtime/cuda/context.h"

namespace cajal::ops {

enum class Epilogue : std::uint8_t {
  none,
  bias,             ///< + bias, a value a row of D.
  gelu,             ///< gelu(.) ; what goes into it is written to aux.
  gelu_bias,        ///< gelu(. + bias), likewise.
  gelu_backward,    ///< . * gelu'(aux).
  bias_gradient_a,  ///< bias = the sums of A's rows over k.
  bias_gradient_b,  ///< bias = the sums of B's columns over k.
};

/// How fp8 operands are stored; A is e4m3 in both.
enum class Fp8Product : std::uint8_t {
  none,
  forward,   ///< B is e4m3.
  gradient,  ///< B is e5m2.
};

/// D = op(A) op(B) in the library's column-major terms; `beta_one` adds it to what D holds.
struct LtProduct {
  std::int64_t m = 0;  ///< Rows of D.
  std::int64_t n = 0;  ///< Columns of D.
  std::int64_t k = 0;
  bool a_transposed = false;  ///< A is stored [k,m] instead of [m,k].
  bool b_transposed = false;  ///< B is stored [n,k] instead of [k,n].
  DType in = DType::f32;      ///< Of A and B, unless fp8.
  Fp8Product fp8 = Fp8Product::none;
  DType out = DType::f32;
  Epilogue epilogue = Epilogue::none;
  bool beta_one = false;
  const void* a = nullptr;
  const void* b = nullptr;
  void* d = nullptr;
  void* bias = nullptr;            ///< Of D's type: in, or out for a gradient.
  void* aux = nullptr;             ///< [m,n] of D's type.
  const float* a_scale = nullptr;  ///< What fp8 operands are multiplied by.
  const float* b_scale = nullptr;

  /// Sizes, types, epilogue and alignments; not beta_one.
  std::string key() const;
};

/// One way to compute an operation: a product, and kernels of our own after it.
struct ProductVariant {
  std::string name;
  LtProduct product;
  std::function<void()> after{};
};

/// Workspace that every product takes from the start of its command's scratch.
inline constexpr std::size_t kLtWorkspace = std::size_t{32} << 20;

/// Computes the operation by the quickest of the variants and of the library's algorithms. The
/// first call for an operation times them, unless a former run has, and then computes it; running a
/// variant twice must give what running it once does, unless it accumulates: then nothing is timed.
/// Variants that the library does not support are passed over; the last one must be plain.
void run_best(CudaContext& context, const std::vector<ProductVariant>& variants);

}  // namespace cajal::ops
