// A reset ends what is in flight.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

int main() {
  float* dev;
  cudaMalloc(&dev, 64);
  work<<<1, 64>>>(dev);
  cudaDeviceSynchronize();  // expect: required reset
  cudaDeviceReset();
  return 0;
}
