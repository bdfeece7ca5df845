// Waits that some path goes around: where nothing is in flight there, and where the user asks so.
#include <cuda_runtime.h>
#include <stdio.h>

__global__ void advance(float *values);

struct Slot {
  float *words;
  float *copy;
  cudaEvent_t free;
  bool used;
};

class Ring {
 public:
  void push(const float *from, int count) {
    Slot &slot = slots_[next_++ % 4];
    if (slot.used) cudaEventSynchronize(slot.free);  // expect: required
    for (int i = 0; i < count; ++i) slot.words[i] = from[i];
    cudaMemcpyAsync(slot.copy, slot.words, count * 4, cudaMemcpyHostToDevice, stream_);
    cudaEventRecord(slot.free, stream_);
    slot.used = true;
  }

 private:
  Slot slots_[4] = {};
  int next_ = 0;
  cudaStream_t stream_ = nullptr;
};

int main(int count, char **) {
  cudaStream_t stream;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  float *host;
  float *device;
  cudaMallocHost(&host, 4096);
  cudaMalloc(&device, 4096);
  bool in_flight = false;
  for (int i = 0; i < 10; ++i) {
    if (in_flight) cudaStreamSynchronize(stream);  // expect: required
    for (int k = 0; k < 1024; ++k) host[k] = static_cast<float>(i + k);
    cudaMemcpyAsync(device, host, 4096, cudaMemcpyHostToDevice, stream);
    in_flight = true;
  }
  cudaStreamSynchronize(stream);  // expect: redundant
  Ring ring;
  for (int i = 0; i < 10; ++i) ring.push(host, 1024);
  cudaDeviceSynchronize();  // expect: deferrable
  advance<<<4, 256, 0, stream>>>(device);
  cudaMemcpyAsync(host, device, 4096, cudaMemcpyDeviceToHost, stream);
  const bool careful = count > 1;
  if (careful) cudaStreamSynchronize(stream);  // expect: required reads host
  printf("%f\n", host[0]);                     // expect: missing
  cudaStreamSynchronize(stream);               // expect: required
  return 0;
}
