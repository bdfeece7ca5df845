// A wait for the device is for the current one.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

float run(float** dev, float** host, int count) {
  for (int i = 0; i < count; ++i) {
    cudaSetDevice(i);
    cudaMemcpyAsync(host[i], dev[i], 64, cudaMemcpyDeviceToHost);
  }
  for (int i = 0; i < count; ++i) {
    cudaSetDevice(i);
    cudaDeviceSynchronize();  // expect: unknown
  }
  return host[0][0];
}
