// Without main, other files call these.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

float* x;
float* y;
void forward() {
  work<<<1, 64>>>(x, y);
  cudaDeviceSynchronize();  // expect: required exit
}
void backward() {
  work<<<1, 64>>>(y, x);
  cudaDeviceSynchronize();  // expect: required exit
}
