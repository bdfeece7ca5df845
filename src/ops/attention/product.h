// The one matrix product that attention is made of.
#pragma once

namespace cajal::ops::attention_kernels {

/// C[m,n] (+)= A[m,k] B[k,n]. A and C are row-major; B is row-major in groups of kPair rows whose
/// elements lie together: b[p / kPair][j][p % kPair]. Strides count elements of a row (B: columns).
template <class Element>
struct Product {
  int m;
  int n;
  int k;
  const Element* a;
  int a_stride;
  const Element* b;
  int b_stride;
  float* c;
  int c_stride;
};

}  // namespace cajal::ops::attention_kernels
