// An event is the narrower wait.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

struct Step {
  cudaStream_t stream;
  cudaEvent_t copied;
  float* loss;
  float* pinned;
  float run(float* x);
};
float Step::run(float* x) {
  work<<<1, 64, 0, stream>>>(x, loss);
  cudaMemcpyAsync(pinned, loss, 4, cudaMemcpyDeviceToHost, stream);
  cudaEventRecord(copied, stream);
  work<<<1, 64, 0, stream>>>(loss, x);
  cudaEventSynchronize(copied);  // expect: required reads pinned
  float value = pinned[0];
  cudaStreamSynchronize(stream);  // expect: required exit
  return value;
}
