// Managed memory that host and device touch in turns; a helper waits, callers read.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>

__global__ void relax(float* grid, const float* force, int n) {
  const int i = threadIdx.x;
  if (i > 0 && i + 1 < n) grid[i] = (grid[i - 1] + grid[i] + grid[i + 1]) / 3 + force[i];
}

__global__ void damp(float* grid, float factor) { grid[threadIdx.x] *= factor; }

static void sweep(float* grid, float* force, int n) {
  relax<<<1, 32>>>(grid, force, n);
  cudaDeviceSynchronize();
  damp<<<1, 32>>>(grid, 0.99f);
  cudaDeviceSynchronize();
}

static float energy(const float* grid, int n) {
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += std::fabs(grid[i]);
  return sum;
}

int main() {
  constexpr int n = 32;
  float* grid = nullptr;
  float* force = nullptr;
  cudaMallocManaged(&grid, n * sizeof(float));
  cudaMallocManaged(&force, n * sizeof(float));
  for (int i = 0; i < n; ++i) {
    grid[i] = static_cast<float>(i);
    force[i] = 0.01f;
  }
  for (int step = 0; step < 20; ++step) {
    sweep(grid, force, n);
    if (step % 5 == 4) {
      std::printf("%.5f\n", energy(grid, n));
      force[step] += 0.5f;
    }
  }
  cudaDeviceSynchronize();
  std::printf("%.5f\n", grid[7]);
  cudaFree(grid);
  cudaFree(force);
  return 0;
}
