// cudaDeviceSynchronize waits for the current device alone.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

float run(float* a, float* b) {
  cudaSetDevice(0);
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: unknown
  cudaSetDevice(1);
  work<<<1, 64>>>(b);
  cudaDeviceSynchronize();  // expect: unknown
  return a[0] + b[0];
}
