// cudaFree may wait or not.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

void run(float* x, float* y) {
  work<<<1, 64>>>(x, y);
  cudaDeviceSynchronize();  // expect: unknown
  cudaFree(y);
  work<<<1, 64>>>(x, x);
  cudaDeviceSynchronize();  // expect: required exit
}
