// Several host threads.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

void run(float** dev, float** host, cudaStream_t* s) {
#pragma omp parallel for
  for (int i = 0; i < 4; ++i) {
    cudaMemcpyAsync(host[i], dev[i], 64, cudaMemcpyDeviceToHost, s[i]);
    cudaStreamSynchronize(s[i]);  // expect: unknown
  }
}
