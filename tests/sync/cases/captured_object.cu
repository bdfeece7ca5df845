// A lambda that captures this, or a copy of a pointer, reads the object's memory.
#include <cuda_runtime.h>

#include <vector>

__global__ void work(float* x) { x[threadIdx.x] += 1; }

struct Named {
  const char* name;
  float* data;
};

struct Net {
  float* a = nullptr;
  std::vector<Named> named;
  float by_this();
  float by_reference();
  float by_copy();
  float by_name();
};

float Net::by_this() {
  auto first = [this] { return a[0]; };
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required reads a
  const float x = first();
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required
  return x;
}

float Net::by_reference() {
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required reads a
  const float x = [&] { return a[0]; }();
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required
  return x;
}

float Net::by_copy() {
  auto first = [p = a] { return p[0]; };
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required reads a
  const float x = first();
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required
  return x;
}

float Net::by_name() {
  named.push_back({"a", a});
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required reads a
  float sum = 0;
  for (const Named& n : named) sum += n.data[0];
  work<<<1, 64>>>(a);
  cudaDeviceSynchronize();  // expect: required
  return sum;
}
