// Gradient descent with momentum: parameters in a list, learning rates that change on the host, a
// rollback when the loss grows.
#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

__global__ void gradient(const float* x, float* g, float* loss, int n) {
  const int i = threadIdx.x;
  if (i == 0) loss[0] = loss[0] * 0.5f;
  g[i] = 2 * x[i] - 1.0f / static_cast<float>(i + 1);
  loss[0] += (x[i] - 0.5f) * (x[i] - 0.5f) / static_cast<float>(n);
}

__global__ void momentum(float* x, const float* g, float* m, const float* rate) {
  const int i = threadIdx.x;
  m[i] = 0.8f * m[i] + g[i];
  x[i] -= rate[0] * m[i];
}

struct Parameter {
  float* value;
  float* grad;
  float* moment;
  float* saved;
};

constexpr int kWidth = 24;
constexpr std::size_t kBytes = kWidth * sizeof(float);

static Parameter make_parameter(float start) {
  Parameter p;
  cudaMalloc(&p.value, kBytes);
  cudaMalloc(&p.grad, kBytes);
  cudaMalloc(&p.moment, kBytes);
  cudaMalloc(&p.saved, kBytes);
  std::vector<float> first(kWidth, start);
  cudaMemcpy(p.value, first.data(), kBytes, cudaMemcpyHostToDevice);
  cudaMemset(p.moment, 0, kBytes);
  cudaDeviceSynchronize();
  return p;
}

int main() {
  std::vector<Parameter> parameters;
  for (int i = 0; i < 3; ++i) parameters.push_back(make_parameter(static_cast<float>(i + 1)));
  float* loss;
  float* rate;
  cudaMallocHost(&loss, sizeof(float));
  cudaMallocHost(&rate, sizeof(float));
  loss[0] = 0;
  rate[0] = 0.4f;
  float before = 1e9f;
  for (int step = 0; step < 10; ++step) {
    for (Parameter& p : parameters) {
      gradient<<<1, kWidth>>>(p.value, p.grad, loss, kWidth);
      cudaDeviceSynchronize();
    }
    const float now = loss[0];
    if (now > before) {
      rate[0] *= 0.5f;
      for (Parameter& p : parameters) {
        cudaMemcpyAsync(p.value, p.saved, kBytes, cudaMemcpyDeviceToDevice);
        cudaDeviceSynchronize();
      }
    } else {
      for (Parameter& p : parameters) {
        cudaMemcpyAsync(p.saved, p.value, kBytes, cudaMemcpyDeviceToDevice);
        cudaDeviceSynchronize();
        momentum<<<1, kWidth>>>(p.value, p.grad, p.moment, rate);
        cudaDeviceSynchronize();
      }
    }
    before = now;
    std::printf("%d %.5f %.4f\n", step, now, rate[0]);
  }
  return 0;
}
