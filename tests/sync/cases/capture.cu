// Nothing moves in a function that captures a stream.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

void run(float* x, float* y, cudaStream_t stream) {
  cudaGraph_t graph;
  cudaStreamSynchronize(stream);  // expect: unknown
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  work<<<1, 64, 0, stream>>>(x, y);
  cudaStreamEndCapture(stream, &graph);
  cudaStreamSynchronize(stream);  // expect: unknown
}
