// Deferred.
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
  work<<<1, 64, 0, stream>>>(a, loss);
  cudaStreamSynchronize(stream);  // expect: deferrable
  work<<<1, 64, 0, stream>>>(b, c);
  total += loss[0];
  cudaStreamSynchronize(stream);  // expect: required exit
  return total;
}
