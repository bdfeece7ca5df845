// Memory that its owner gives back, or that ends with its braces, while a copy may be in flight.
#include <cuda_runtime.h>

#include <memory>
#include <utility>
#include <vector>

__global__ void advance(float *values);

struct FreeHost {
  void operator()(float *memory) const { cudaFreeHost(memory); }
};
using Pinned = std::unique_ptr<float, FreeHost>;

static Pinned pinned(int count) {
  float *memory;
  cudaMallocHost(&memory, count * sizeof(float));
  return Pinned(memory);
}

struct Staging {
  float *memory;
  Staging() { cudaMallocHost(&memory, 256); }
  ~Staging() { cudaFreeHost(memory); }
};

struct Loader {
  std::unique_ptr<float[]> block;
  std::vector<Staging> stagings;
};

void reset_in_flight(float *device, cudaStream_t stream) {
  Pinned memory = pinned(64);
  cudaMemcpyAsync(device, memory.get(), 256, cudaMemcpyHostToDevice, stream);
  cudaStreamSynchronize(stream);  // expect: required
  memory.reset();
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
}

void ends_with_its_braces(float *device, cudaStream_t stream) {
  {
    auto memory = std::make_unique<float[]>(64);
    cudaMemcpyAsync(device, memory.get(), 256, cudaMemcpyHostToDevice, stream);
    cudaStreamSynchronize(stream);  // expect: required
  }
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
}

void array_ends_with_its_braces(float *device, cudaStream_t stream) {
  {
    float memory[64] = {};
    cudaMemcpyAsync(memory, device, 256, cudaMemcpyDeviceToHost, stream);
    cudaStreamSynchronize(stream);  // expect: required
  }
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
}

void member_is_given_another(Loader &loader, float *device, cudaStream_t stream) {
  cudaMemcpyAsync(device, loader.block.get(), 256, cudaMemcpyHostToDevice, stream);
  cudaStreamSynchronize(stream);  // expect: required
  loader.block = std::make_unique<float[]>(64);
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
}

void last_one_goes(Loader &loader, float *device, cudaStream_t stream) {
  cudaMemcpyAsync(device, loader.stagings[0].memory, 256, cudaMemcpyHostToDevice, stream);
  cudaStreamSynchronize(stream);  // expect: required
  loader.stagings.pop_back();
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
}

// Handed on, so it does not end here; and its owner reads nothing.
Pinned handed_on(float *device, cudaStream_t stream) {
  Pinned memory = pinned(64);
  cudaMemcpyAsync(device, memory.get(), 256, cudaMemcpyHostToDevice, stream);
  cudaStreamSynchronize(stream);  // expect: redundant
  advance<<<1, 64, 0, stream>>>(device);
  cudaStreamSynchronize(stream);  // expect: required
  return memory;
}
