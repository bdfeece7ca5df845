// An asynchronous copy does not wait.
#include <cuda_runtime.h>

#include <numeric>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

float run(float* x, float* y, cudaStream_t stream) {
  std::vector<float> host(64);
  work<<<1, 64, 0, stream>>>(x, y);
  cudaStreamSynchronize(stream);  // expect: redundant
  cudaMemcpyAsync(host.data(), y, 256, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);  // expect: required reads host
  return std::accumulate(host.begin(), host.end(), 0.0F);
}
