// What lambdas capture, they lead to.
#include <cuda_runtime.h>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

auto reader(float* data) {
  return [data] { return data[0]; };
}
struct Held {
  float* data;
  float read() {
    auto f = [this] { return data[0]; };
    return f();
  }
};

float run0(float* dev, float* host, cudaStream_t s) {
  float total = 0;
  cudaMemcpyAsync(host, dev, 64, cudaMemcpyDeviceToHost, s);
  cudaStreamSynchronize(s);  // expect: required reads host
  auto f = [p = host] { return p[0]; };
  total += f();
  work<<<1, 64, 0, s>>>(dev);
  cudaStreamSynchronize(s);  // expect: required exit
  return total;
}

float run1(float* dev, float* host, cudaStream_t s) {
  float total = 0;
  cudaMemcpyAsync(host, dev, 64, cudaMemcpyDeviceToHost, s);
  cudaStreamSynchronize(s);  // expect: required reads host
  auto f = reader(host);
  total += f();
  work<<<1, 64, 0, s>>>(dev);
  cudaStreamSynchronize(s);  // expect: required exit
  return total;
}

float run2(float* dev, float* host, cudaStream_t s) {
  float total = 0;
  cudaMemcpyAsync(host, dev, 64, cudaMemcpyDeviceToHost, s);
  cudaStreamSynchronize(s);  // expect: required reads host
  Held held{host};
  total += held.read();
  work<<<1, 64, 0, s>>>(dev);
  cudaStreamSynchronize(s);  // expect: required exit
  return total;
}
