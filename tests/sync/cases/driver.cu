// The driver's own calls.
#include <cuda.h>

float run(CUfunction work, CUstream s) {
  CUdeviceptr dev;
  float* host;
  cuMemAlloc(&dev, 64);
  cuMemAllocHost(reinterpret_cast<void**>(&host), 64);
  cuMemcpyDtoHAsync(host, dev, 64, s);
  cuStreamSynchronize(s);  // expect: required
  float value = host[0];
  void* arguments[] = {&host};
  cuLaunchKernel(work, 1, 1, 1, 1, 1, 1, 0, s, arguments, nullptr);
  cuCtxSynchronize();  // expect: required
  return value + host[0];
}
