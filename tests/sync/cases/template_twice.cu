// One instance of a template reads, the other does not; the third is never made.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

template <bool kRead>
float run(float* dev, float* host, cudaStream_t s) {
  float value = 0;
  cudaMemcpyAsync(host, dev, 64, cudaMemcpyDeviceToHost, s);
  cudaStreamSynchronize(s);  // expect: required in one
  if constexpr (kRead) value = host[0];
  work<<<1, 64, 0, s>>>(dev);
  cudaStreamSynchronize(s);  // expect: required exit
  return value;
}

float both(float* dev, float* host, cudaStream_t s) {
  return run<false>(dev, host, s) + run<true>(dev, host, s);
}

template <class T>
T never(T* dev, T* host, cudaStream_t s) {
  cudaMemcpyAsync(host, dev, 64, cudaMemcpyDeviceToHost, s);
  cudaStreamSynchronize(s);  // expect: unknown
  return host[0];
}
