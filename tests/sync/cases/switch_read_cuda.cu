// Switch read.
#include <cuda_runtime.h>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

struct Net {
  cudaStream_t stream;
  float* a;
  float* b;
  float* c;
  float* loss;
  float run(int n);
};

float Net::run(int n) {
  float total = 0;
  work<<<1, 64, 0, stream>>>(a, b);
  cudaStreamSynchronize(stream);  // expect: redundant
  if (n > 3) {
    work<<<1, 64, 0, stream>>>(b, c);
    cudaStreamSynchronize(stream);  // expect: redundant
  }
  work<<<1, 64, 0, stream>>>(c, loss);
  cudaStreamSynchronize(stream);  // expect: required reads loss
  total += loss[0];
  return total;
}
