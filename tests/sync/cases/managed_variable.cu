// A managed variable is read without a call.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

__managed__ float total;
__global__ void add() { total += 1; }

float run() {
  add<<<1, 1>>>();
  cudaDeviceSynchronize();  // expect: required reads total
  float value = total;
  add<<<1, 1>>>();
  cudaDeviceSynchronize();  // expect: required exit
  return value;
}
