// Next iteration.
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
    a[0] = total;
    work<<<1, 64, 0, stream>>>(a, b);
    hipStreamSynchronize(stream);  // expect: required writes a
  }
  return total;
}
