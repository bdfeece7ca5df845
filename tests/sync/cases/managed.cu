// Managed memory is read without a call.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

float run(float* x) {
  float* y = nullptr;
  cudaMallocManaged(&y, 256);
  work<<<1, 64>>>(x, y);
  cudaDeviceSynchronize();  // expect: required reads y
  float value = y[0];
  work<<<1, 64>>>(x, y);
  cudaDeviceSynchronize();  // expect: required exit
  return value;
}
