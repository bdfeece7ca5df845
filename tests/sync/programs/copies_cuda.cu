// Blocking copies that wait by themselves, with waits before them all the same.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#define CHECK(call)                                                                        \
  do {                                                                                     \
    cudaError_t status = (call);                                                           \
    if (status != cudaSuccess) {                                                           \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, cudaGetErrorString(status)); \
      std::exit(1);                                                                        \
    }                                                                                      \
  } while (0)

__global__ void blur(const float* from, float* to, int n) {
  const int i = threadIdx.x;
  const float left = i > 0 ? from[i - 1] : 0;
  const float right = i + 1 < n ? from[i + 1] : 0;
  to[i] = 0.25f * left + 0.5f * from[i] + 0.25f * right;
}

__global__ void shift(float* x, float by) { x[threadIdx.x] += by; }

struct Picture {
  float* now;
  float* next;
  int count;
};

static void filter(Picture& picture, int times) {
  for (int i = 0; i < times; ++i) {
    blur<<<1, 48>>>(picture.now, picture.next, picture.count);
    cudaDeviceSynchronize();
    shift<<<1, 48>>>(picture.next, 0.125f);
    cudaDeviceSynchronize();
    float* swap = picture.now;
    picture.now = picture.next;
    picture.next = swap;
  }
}

int main() {
  Picture picture{nullptr, nullptr, 48};
  CHECK(cudaMalloc(&picture.now, 48 * sizeof(float)));
  CHECK(cudaMalloc(&picture.next, 48 * sizeof(float)));
  float host[48];
  for (int i = 0; i < 48; ++i) host[i] = static_cast<float>(i % 5);
  CHECK(cudaMemcpy(picture.now, host, sizeof(host), cudaMemcpyHostToDevice));
  for (int round = 0; round < 4; ++round) {
    filter(picture, 3);
    cudaDeviceSynchronize();
    CHECK(cudaMemcpy(host, picture.now, sizeof(host), cudaMemcpyDeviceToHost));
    float sum = 0;
    for (const float value : host) sum += value;
    std::printf("%.5f\n", sum);
    host[0] = sum;
    CHECK(cudaMemcpy(picture.now, host, sizeof(host), cudaMemcpyHostToDevice));
    cudaDeviceSynchronize();
  }
  return 0;
}
