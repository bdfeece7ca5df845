// Of two waits that do the same, the one that runs less often stays.
#include <cuda_runtime.h>
#include <stdio.h>

__global__ void advance(float *values, int layer);
__global__ void sum(float *total, const float *values);

static cudaStream_t stream;

static void layer_step(float *values, int layer) {
  advance<<<4, 256, 0, stream>>>(values, layer);
  cudaStreamSynchronize(stream);  // expect: redundant
}

static void report(float *host_total, const float *total) {
  cudaMemcpyAsync(host_total, total, 4, cudaMemcpyDeviceToHost, stream);
  cudaDeviceSynchronize();  // expect: required reads host_total
  printf("%f\n", *host_total);
}

int main() {
  float *values;
  float *total;
  float *host_total;
  cudaStreamCreate(&stream);
  cudaMalloc(&values, 4096);
  cudaMalloc(&total, 4);
  cudaMallocHost(&host_total, 4);
  for (int step = 0; step < 100; ++step) {
    for (int layer = 0; layer < 12; ++layer) layer_step(values, layer);
    sum<<<1, 1, 0, stream>>>(total, values);
    cudaStreamSynchronize(stream);  // expect: redundant
    report(host_total, total);
  }
  return 0;
}
