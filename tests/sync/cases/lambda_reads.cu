// A lambda reads.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

float run(float* x, float* pinned, cudaStream_t stream) {
  cudaMemcpyAsync(pinned, x, 256, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);  // expect: required reads pinned
  auto first = [&] { return pinned[0]; };
  float value = first();
  work<<<1, 64, 0, stream>>>(x, x);
  cudaStreamSynchronize(stream);  // expect: required exit
  return value;
}
