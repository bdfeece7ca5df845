// Events that measure.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

float run(float* x, float* y, cudaEvent_t start, cudaEvent_t stop) {
  cudaEventRecord(start);
  work<<<1, 64>>>(x, y);
  cudaEventRecord(stop);
  cudaEventSynchronize(stop);  // expect: timing
  float time = 0;
  cudaEventElapsedTime(&time, start, stop);
  return time;
}
