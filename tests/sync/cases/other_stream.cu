// cudaMemcpy on the default stream waits for no stream made apart from it.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

float run(float* x, float* y) {
  cudaStream_t stream;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  float host = 0;
  work<<<1, 64, 0, stream>>>(x, y);
  cudaStreamSynchronize(stream);  // expect: required order
  cudaMemcpy(&host, y, 4, cudaMemcpyDeviceToHost);
  return host;
}
