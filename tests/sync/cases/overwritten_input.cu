// The next batch overwrites what the device still reads.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

struct Loader {
  cudaStream_t stream;
  float* pinned;
  float* device;
  void run(const float* data, int n);
};
void Loader::run(const float* data, int n) {
  for (int i = 0; i < n; ++i) {
    std::copy(data, data + 64, pinned);
    cudaMemcpyAsync(device, pinned, 256, cudaMemcpyHostToDevice, stream);
    work<<<1, 64, 0, stream>>>(device, device);
    cudaStreamSynchronize(stream);  // expect: required writes pinned
  }
}
