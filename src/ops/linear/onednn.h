// Matrix products by oneDNN, 2.6 and 3.x alike. The only file pair that knows oneDNN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cajal/dtype.h"

namespace cajal::ops {

/// c = a b, with c [m,n], a [m,k], b [k,n], all row-major unless said otherwise. Sums in f32.
struct ProductShape {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  DType in = DType::f32;        ///< Of a and b.
  DType out = DType::f32;       ///< Of c.
  bool a_transposed = false;    ///< a lies in memory as [k,m].
  bool b_transposed = false;    ///< b lies in memory as [n,k].
  bool add_to_c = false;        ///< c += a b.
  bool copy_a = false;          ///< Untranspose a first: faster than reading it transposed in bf16.
  bool pack_b = false;          ///< Copy b to a blocked layout first: pays when it is reused much.
  std::optional<DType> bias{};  ///< Of a [n] vector that is added to every row of c.

  std::string key() const;  ///< Names the shape in a cache.
};

/// A compiled product. Built for the OpenMP thread count of the moment; for one thread at a time.
class Product {
 public:
  /// Throws Error when this processor or oneDNN has no such product.
  explicit Product(const ProductShape& shape);
  ~Product();
  Product(Product&&) noexcept;
  Product& operator=(Product&&) noexcept;

  /// Of the memory that run() needs, 64-byte aligned.
  std::size_t scratch_bytes() const;

  /// Addresses of host memory; `bias` only where the shape has one.
  void run(const void* a, const void* b, const void* bias, void* c, std::byte* scratch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cajal::ops
