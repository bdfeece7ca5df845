// Branch read.
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
  work<<<1, 64, 0, stream>>>(a, loss);
  hipStreamSynchronize(stream);  // expect: required reads loss
  if (n > 3) {
    total += loss[0];
  }
  return total;
}
