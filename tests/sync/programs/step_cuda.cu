// A training step on one stream with a wait behind every launch.
#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

__global__ void scale_add(const float* x, float* y, float factor, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = y[i] * factor + x[i];
}

__global__ void difference(const float* a, const float* b, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = a[i] - 0.5f * b[i];
}

__global__ void total(const float* x, float* out, int n) {
  if (blockIdx.x + threadIdx.x > 0) return;
  out[0] = 0;
  for (int i = 0; i < n; ++i) out[0] += x[i] * x[i];
}

constexpr int kCount = 64;

int main() {
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  float *input, *weights, *output, *loss;
  cudaMalloc(&input, kCount * sizeof(float));
  cudaMalloc(&weights, kCount * sizeof(float));
  cudaMalloc(&output, kCount * sizeof(float));
  cudaMallocHost(&loss, sizeof(float));
  std::vector<float> batch(kCount, 1.0f);
  cudaMemset(weights, 0, kCount * sizeof(float));
  for (int step = 0; step < 6; ++step) {
    for (int i = 0; i < kCount; ++i) batch[i] = static_cast<float>((i * 13 + step) % 7);
    cudaMemcpyAsync(input, batch.data(), kCount * sizeof(float), cudaMemcpyHostToDevice, stream);
    cudaStreamSynchronize(stream);
    scale_add<<<2, 32, 0, stream>>>(input, weights, 0.9f, kCount);
    cudaStreamSynchronize(stream);
    difference<<<2, 32, 0, stream>>>(weights, input, output, kCount);
    cudaStreamSynchronize(stream);
    total<<<1, 1, 0, stream>>>(output, loss, kCount);
    cudaStreamSynchronize(stream);
    std::printf("%d %.4f\n", step, loss[0]);
  }
  cudaStreamSynchronize(stream);
  cudaFree(input);
  cudaFree(weights);
  cudaFree(output);
  cudaFreeHost(loss);
  return 0;
}
