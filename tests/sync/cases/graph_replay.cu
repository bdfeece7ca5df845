// A graph does again what was captured elsewhere.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

static cudaGraphExec_t build(float* host, float* dev, cudaStream_t s) {
  cudaGraph_t graph;
  cudaGraphExec_t ready;
  cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal);
  cudaMemcpyAsync(host, dev, 64, cudaMemcpyDeviceToHost, s);
  cudaStreamEndCapture(s, &graph);
  cudaGraphInstantiate(&ready, graph, 0);
  return ready;
}

int main() {
  float* host;
  float* dev;
  cudaMallocHost(&host, 64);
  cudaMalloc(&dev, 64);
  cudaStream_t s;
  cudaStreamCreate(&s);
  cudaGraphExec_t ready = build(host, dev, s);
  float sum = 0;
  for (int i = 0; i < 10; ++i) {
    cudaGraphLaunch(ready, s);
    cudaStreamSynchronize(s);  // expect: required replay
    sum += host[0];
  }
  return sum > 0;
}
