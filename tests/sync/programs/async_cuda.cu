// Asynchronous copies to the host into pinned and plain memory, read after waits of several kinds.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

constexpr int kCount = 20;
constexpr std::size_t kBytes = kCount * sizeof(float);

__global__ void grow(float* x, int by) { x[threadIdx.x] = x[threadIdx.x] * 1.5f + by; }

struct Probe {
  cudaStream_t stream;
  cudaEvent_t ready;
  float* device;
  float* pinned;
};

static float peek(Probe& probe, int at) {
  cudaMemcpyAsync(probe.pinned, probe.device, kBytes, cudaMemcpyDeviceToHost, probe.stream);
  cudaStreamSynchronize(probe.stream);
  return probe.pinned[at];
}

static float snapshot(Probe& probe, int times) {
  float local[kCount];
  for (int i = 0; i < times; ++i) {
    grow<<<1, kCount, 0, probe.stream>>>(probe.device, i);
    cudaStreamSynchronize(probe.stream);
  }
  cudaMemcpyAsync(local, probe.device, kBytes, cudaMemcpyDeviceToHost, probe.stream);
  cudaStreamSynchronize(probe.stream);
  float sum = 0;
  for (int i = 0; i < kCount; ++i) sum += local[i];
  return sum;
}

static float by_event(Probe& probe) {
  grow<<<1, kCount, 0, probe.stream>>>(probe.device, 3);
  cudaMemcpyAsync(probe.pinned, probe.device, kBytes, cudaMemcpyDeviceToHost, probe.stream);
  cudaEventRecord(probe.ready, probe.stream);
  grow<<<1, kCount, 0, probe.stream>>>(probe.device, 4);
  cudaEventSynchronize(probe.ready);
  const float value = probe.pinned[2];
  cudaStreamSynchronize(probe.stream);
  return value;
}

static void restart(Probe& probe, float value) {
  for (int i = 0; i < kCount; ++i) probe.pinned[i] = value;
  cudaMemcpyAsync(probe.device, probe.pinned, kBytes, cudaMemcpyHostToDevice, probe.stream);
  cudaStreamSynchronize(probe.stream);
}

int main() {
  Probe probe;
  cudaStreamCreateWithFlags(&probe.stream, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&probe.ready, cudaEventDisableTiming);
  cudaMalloc(&probe.device, kBytes);
  cudaMallocHost(&probe.pinned, kBytes);
  restart(probe, 1);
  for (int round = 0; round < 4; ++round) {
    std::printf("%.4f\n", snapshot(probe, 3));
    std::printf("%.4f\n", by_event(probe));
    std::printf("%.4f\n", peek(probe, round));
    restart(probe, static_cast<float>(round));
  }
  return 0;
}
