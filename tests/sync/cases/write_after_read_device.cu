// Write after read.
#include <cuda_runtime.h>

#define CHECK(call)                     \
  do {                                  \
    cudaError_t status = (call);        \
    if (status != cudaSuccess) exit(1); \
  } while (0)

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
  work<<<1, 64>>>(a, b);
  CHECK(cudaDeviceSynchronize());  // expect: required writes a
  a[0] = total;
  work<<<1, 64>>>(a, c);
  CHECK(cudaDeviceSynchronize());  // expect: required exit
  return total;
}
