// With main in view, helpers belong to the file.
#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

__global__ void work(float* x, float* y) { y[threadIdx.x] += x[threadIdx.x]; }

float* x;
float* y;
void forward() {
  work<<<1, 64>>>(x, y);
  cudaDeviceSynchronize();  // expect: redundant
}
void backward() {
  work<<<1, 64>>>(y, x);
  cudaDeviceSynchronize();  // expect: redundant
}
int main() {
  float loss = 0;
  for (int i = 0; i < 10; ++i) {
    forward();
    backward();
    cudaMemcpy(&loss, y, 4, cudaMemcpyDeviceToHost);
    printf("%f\n", loss);
  }
  return 0;
}
