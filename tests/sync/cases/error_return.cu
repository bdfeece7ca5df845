// An error branch leaves with work in flight.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

int run(float* x, float* y, float* z) {
  work<<<1, 64>>>(x, y);
  cudaDeviceSynchronize();  // expect: required exit
  if (cudaGetLastError() != cudaSuccess) return 1;
  work<<<1, 64>>>(y, z);
  cudaDeviceSynchronize();  // expect: required exit
  return 0;
}
