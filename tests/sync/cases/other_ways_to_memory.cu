// The same memory by a base class, a structured binding and a number.
#include <cuda_runtime.h>

#include <cstdint>

__global__ void advance(float *values);

struct View {
  float *host;
  explicit View(float *memory) : host(memory) {}
};

struct Loss : View {
  using View::View;
  float first() const { return host[0]; }
};

struct Named : View {
  explicit Named(float *memory) : View(memory) {}
  float first() const { return host[0]; }
};

struct Pair {
  float *host;
  float *device;
};

static Pair paired(float *host, float *device) { return {host, device}; }

float by_an_inherited_constructor(float *device, float *host, cudaStream_t stream) {
  Loss loss(host);
  cudaMemcpyAsync(host, device, 256, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);  // expect: required
  const float first = loss.first();
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
  return first;
}

float by_a_base_constructor(float *device, float *host, cudaStream_t stream) {
  Named loss(host);
  cudaMemcpyAsync(host, device, 256, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);  // expect: required
  const float first = loss.first();
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
  return first;
}

float by_a_binding(float *device, float *memory, cudaStream_t stream) {
  auto [host, other] = paired(memory, device);
  cudaMemcpyAsync(memory, device, 256, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);  // expect: required
  const float first = host[0];
  advance<<<1, 64, 0, stream>>>(other);
  cudaStreamSynchronize(stream);  // expect: required
  return first;
}

float by_a_number(float *device, float *host, cudaStream_t stream) {
  const auto at = reinterpret_cast<std::uintptr_t>(host);
  cudaMemcpyAsync(host, device, 256, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);  // expect: required
  const float second = *reinterpret_cast<float *>(at + 4);
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
  return second;
}
