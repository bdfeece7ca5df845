// Globals that the set-up makes the same event and the same memory.
#include <cuda_runtime.h>

__global__ void advance(float *values);

static cudaEvent_t done;
static cudaEvent_t finished;
static float *host_values;
static float *shown;
static float *device_values;
static cudaStream_t stream;

void set_up() {
  cudaStreamCreate(&stream);
  cudaEventCreate(&done);
  finished = done;
  cudaMallocHost(&host_values, 4096);
  shown = host_values;
  cudaMalloc(&device_values, 4096);
}

void step() {
  advance<<<4, 256, 0, stream>>>(device_values);
  cudaMemcpyAsync(host_values, device_values, 4096, cudaMemcpyDeviceToHost, stream);
  cudaEventRecord(done, stream);
}

float by_the_other_event() {
  step();
  cudaEventSynchronize(finished);  // expect: required reads host_values
  return host_values[0];
}

float by_the_other_pointer() {
  step();
  cudaEventSynchronize(done);  // expect: required reads shown
  return shown[0];
}
