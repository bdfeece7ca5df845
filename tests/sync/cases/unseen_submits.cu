// Code out of sight may submit work on what it was given before.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

void prepare(float* host);
void enqueue(cudaStream_t s);

int main() {
  float* host;
  cudaMallocHost(&host, 64);
  cudaStream_t s;
  cudaStreamCreate(&s);
  prepare(host);
  enqueue(s);
  cudaStreamSynchronize(s);  // expect: required unseen
  return host[0] > 0;
}
