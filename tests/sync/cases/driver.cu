// The driver's own calls.
#include <cuda.h>

float run(CUfunction work, CUstream s) {
  CUdeviceptr dev;
  float* host;
  cuMemAlloc(&dev, 64);
  cuMemAllocHost(reinterpret_cast<void**>(&host), 64);
  cuMemcpyDtoHAsync(host, dev, 64, s);
  cuStreamSynchronize(s);  // expect: required reads host
  float value = host[0];
  void* arguments[] = {&host};
  cuLaunchKernel(work, 1, 1, 1, 1, 1, 1, 0, s, arguments, nullptr);
  cuCtxSynchronize();  // expect: required
  return value + host[0];
}

static float work_then_copy(CUdeviceptr dev, float* host, CUstream s, CUfunction work) {
  void* arguments[] = {&dev};
  cuLaunchKernel(work, 1, 1, 1, 64, 1, 1, 0, s, arguments, nullptr);
  cuStreamSynchronize(s);  // expect: required
  cuMemcpyDtoHAsync(host, dev, 256, s);
  cuStreamSynchronize(s);  // expect: required reads host
  return host[0];
}

int main() {
  CUstream s;
  CUfunction work;
  CUdeviceptr dev;
  float* host;
  cuMemAlloc(&dev, 256);
  cuMemAllocHost(reinterpret_cast<void**>(&host), 256);
  cuStreamCreate(&s, 1);
  return work_then_copy(dev, host, s, work) > 0;
}
