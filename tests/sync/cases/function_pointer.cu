// What a pointer calls is not known.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

void run(float* x, float* pinned, cudaStream_t stream, void (*then)()) {
  cudaMemcpyAsync(pinned, x, 256, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);  // expect: unknown
  then();
  work<<<1, 64, 0, stream>>>(x, x);
  cudaStreamSynchronize(stream);  // expect: required exit
}
