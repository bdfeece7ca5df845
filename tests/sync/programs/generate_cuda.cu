// Generation with a cache: logits come back by a copy, the next id goes out by another.
#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

constexpr int kWidth = 16;
constexpr int kVocabulary = 40;
constexpr int kLayers = 3;

__global__ void embed(const int* id, const float* table, float* hidden) {
  hidden[threadIdx.x] = table[(id[0] * kWidth + threadIdx.x) % (kVocabulary * kWidth)];
}

__global__ void attend(float* hidden, float* cache, int position) {
  const int i = threadIdx.x;
  cache[position * kWidth + i] = hidden[i];
  float sum = 0;
  for (int t = 0; t <= position; ++t) sum += cache[t * kWidth + i];
  hidden[i] = 0.5f * hidden[i] + sum / static_cast<float>(position + 1);
}

__global__ void project(const float* hidden, const float* table, float* logits) {
  float sum = 0;
  for (int i = 0; i < kWidth; ++i) sum += hidden[i] * table[threadIdx.x * kWidth + i];
  logits[threadIdx.x] = sum;
}

struct Model {
  float* table;
  float* cache[kLayers];
  float* hidden;
  float* logits;
  int* id;
};

static int argmax(const std::vector<float>& values, int not_this) {
  int best = not_this == 0 ? 1 : 0;
  for (int i = 0; i < static_cast<int>(values.size()); ++i) {
    if (i != not_this && values[i] > values[best]) best = i;
  }
  return best;
}

static int next(Model& model, int id, int position, std::vector<float>& scores) {
  cudaMemcpy(model.id, &id, sizeof(int), cudaMemcpyHostToDevice);
  embed<<<1, kWidth>>>(model.id, model.table, model.hidden);
  cudaDeviceSynchronize();
  for (int layer = 0; layer < kLayers; ++layer) {
    attend<<<1, kWidth>>>(model.hidden, model.cache[layer], position);
    cudaDeviceSynchronize();
  }
  project<<<1, kVocabulary>>>(model.hidden, model.table, model.logits);
  cudaDeviceSynchronize();
  cudaMemcpy(scores.data(), model.logits, kVocabulary * sizeof(float), cudaMemcpyDeviceToHost);
  return argmax(scores, id);
}

int main() {
  Model model;
  cudaMalloc(&model.table, kVocabulary * kWidth * sizeof(float));
  for (int layer = 0; layer < kLayers; ++layer) {
    cudaMalloc(&model.cache[layer], 32 * kWidth * sizeof(float));
  }
  cudaMalloc(&model.hidden, kWidth * sizeof(float));
  cudaMalloc(&model.logits, kVocabulary * sizeof(float));
  cudaMalloc(&model.id, sizeof(int));
  std::vector<float> table(kVocabulary * kWidth);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i * i % 23) / 23;
  cudaMemcpy(model.table, table.data(), table.size() * sizeof(float), cudaMemcpyHostToDevice);
  std::vector<float> scores(kVocabulary);
  int id = 3;
  for (int position = 0; position < 12; ++position) {
    id = next(model, id, position, scores);
    std::printf("%d %.4f\n", id, scores[id]);
  }
  return 0;
}
