// The macros around the calls come from headers that are not at hand.
#include <cuda_runtime.h>
#include <helper_cuda.h>
#include <stdio.h>

#include "util/errors.h"

__global__ void work(float *d);

void once(float *h, float *d, cudaStream_t s) {
  checkCudaErrors(cudaMemcpyAsync(d, h, 4, cudaMemcpyHostToDevice, s));
  work<<<1, 1, 0, s>>>(d);
  checkCudaErrors(cudaStreamSynchronize(s));  // expect: redundant
  HANDLE_ERROR(cudaMemcpyAsync(h, d, 4, cudaMemcpyDeviceToHost, s));
  HANDLE_ERROR(cudaStreamSynchronize(s));  // expect: required reads h
  printf("%f", h[0]);
}

void clocked(float *d, cudaStream_t s) {
  cudaEvent_t begin, end;
  checkCudaErrors(cudaEventCreate(&begin));
  checkCudaErrors(cudaEventCreate(&end));
  checkCudaErrors(cudaEventRecord(begin, s));
  work<<<1, 1, 0, s>>>(d);
  checkCudaErrors(cudaEventRecord(end, s));
  checkCudaErrors(cudaEventSynchronize(end));  // expect: timing
  float ms = 0;
  checkCudaErrors(cudaEventElapsedTime(&ms, begin, end));
  printf("%f", ms);
}

// What the macro does is not to be seen: it may read anything.
void unseen(float *h, float *d, cudaStream_t s) {
  HANDLE_ERROR(cudaMemcpyAsync(h, d, 4, cudaMemcpyDeviceToHost, s));
  HANDLE_ERROR(cudaStreamSynchronize(s));  // expect: unknown
  CHECK_LAUNCH();
  work<<<1, 1, 0, s>>>(d);
  HANDLE_ERROR(cudaStreamSynchronize(s));  // expect: required
}
