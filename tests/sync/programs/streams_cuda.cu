// Copy and compute on two streams that events order, pinned buffers in turns.
#include <cuda_runtime.h>

#include <cstdio>

constexpr int kCount = 32;

__global__ void work(const float* in, float* state, float* out) {
  const int i = threadIdx.x;
  state[i] = 0.75f * state[i] + in[i];
  out[i] = state[i] * 2.0f;
}

class Loader {
 public:
  Loader() {
    cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&compute_, cudaStreamNonBlocking);
    for (int i = 0; i < 2; ++i) {
      cudaEventCreateWithFlags(&loaded_[i], cudaEventDisableTiming);
      cudaEventCreateWithFlags(&used_[i], cudaEventDisableTiming);
      cudaMallocHost(&staging_[i], kCount * sizeof(float));
      cudaMalloc(&input_[i], kCount * sizeof(float));
    }
    cudaMalloc(&state_, kCount * sizeof(float));
    cudaMallocHost(&result_, kCount * sizeof(float));
    cudaMemsetAsync(state_, 0, kCount * sizeof(float), compute_);
    cudaStreamSynchronize(compute_);
  }

  void feed(int step) {
    const int slot = step % 2;
    if (step >= 2) cudaEventSynchronize(used_[slot]);
    for (int i = 0; i < kCount; ++i) staging_[slot][i] = static_cast<float>(step * i % 11);
    cudaMemcpyAsync(input_[slot], staging_[slot], kCount * sizeof(float), cudaMemcpyHostToDevice,
                    copies_);
    cudaEventRecord(loaded_[slot], copies_);
    cudaStreamWaitEvent(compute_, loaded_[slot], 0);
    work<<<1, kCount, 0, compute_>>>(input_[slot], state_, result_);
    cudaEventRecord(used_[slot], compute_);
  }

  float result() {
    cudaStreamSynchronize(copies_);
    cudaStreamSynchronize(compute_);
    float sum = 0;
    for (int i = 0; i < kCount; ++i) sum += result_[i];
    return sum;
  }

 private:
  cudaStream_t copies_, compute_;
  cudaEvent_t loaded_[2], used_[2];
  float* staging_[2];
  float* input_[2];
  float* state_;
  float* result_;
};

int main() {
  Loader loader;
  for (int step = 0; step < 9; ++step) {
    loader.feed(step);
    if (step % 3 == 2) std::printf("%.4f\n", loader.result());
  }
  return 0;
}
