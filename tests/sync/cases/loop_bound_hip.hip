// Loop bound.
#include <hip/hip_runtime.h>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

struct Net {
  hipStream_t stream;
  float* a;
  float* b;
  float* c;
  float* loss;
  float run(int n);
};

float Net::run(int n) {
  float total = 0;
  for (int i1 = 0; i1 < n; ++i1) {
    work<<<1, 64, 0, stream>>>(a, b);
    hipStreamSynchronize(stream);  // expect: redundant
    work<<<1, 64, 0, stream>>>(b, c);
    hipStreamSynchronize(stream);  // expect: required bound
  }
  total += loss[0];
  return total;
}
