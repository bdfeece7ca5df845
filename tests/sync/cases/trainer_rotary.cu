// A small language model of the newer kind (rotary positions, gated units, Lion) on one stream:
// loss and logits come back through pinned memory, batches go out through two pinned buffers in
// turns.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

static int failed_at = 0;

#define CHECK(call)                  \
  do {                               \
    const cudaError_t code = (call); \
    if (code != cudaSuccess) {       \
      failed_at = __LINE__;          \
      exit(1);                       \
    }                                \
  } while (0)

__global__ void embed_kernel(const int* ids, const float* table, float* out, int rows, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  out[i] = table[ids[i / width] * width + i % width];
}

__global__ void rms_norm_kernel(const float* x, const float* gain, float* out, float* scale,
                                int rows, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  float sum = 0;
  for (int k = 0; k < width; ++k) sum += x[i * width + k] * x[i * width + k];
  scale[i] = rsqrtf(sum / width + 1e-5f);
  for (int k = 0; k < width; ++k) out[i * width + k] = x[i * width + k] * scale[i] * gain[k];
}

__global__ void matmul_kernel(const float* x, const float* weight, float* out, int rows, int inner,
                              int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  const float* left = x + (i / width) * inner;
  const float* right = weight + (i % width) * inner;
  float sum = 0;
  for (int k = 0; k < inner; ++k) sum += left[k] * right[k];
  out[i] = sum;
}

__global__ void rotate_kernel(float* q, float* k, int rows, int width, int heads, int position) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width / 2) return;
  int row = i / (width / 2);
  int pair = i % (width / 2);
  int size = width / heads;
  float angle = (row + position) * powf(10000.0f, -2.0f * (pair % (size / 2)) / size);
  float c = cosf(angle);
  float s = sinf(angle);
  float* at = q + row * width + 2 * pair;
  float first = at[0];
  at[0] = c * first - s * at[1];
  at[1] = s * first + c * at[1];
  at = k + row * width + 2 * pair;
  first = at[0];
  at[0] = c * first - s * at[1];
  at[1] = s * first + c * at[1];
}

__global__ void append_cache_kernel(const float* k, const float* v, float* keys, float* values,
                                    int rows, int width, int position) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  keys[position * width + i] = k[i];
  values[position * width + i] = v[i];
}

__global__ void attend_kernel(const float* q, const float* keys, const float* values, float* scores,
                              float* out, int rows, int width, int heads, int position) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * heads) return;
  int row = i / heads;
  int head = i % heads;
  int size = width / heads;
  int last = row + position;
  float* mine = scores + i * 512;
  float peak = -1e30f;
  for (int t = 0; t <= last; ++t) {
    float dot = 0;
    for (int d = 0; d < size; ++d)
      dot += q[row * width + head * size + d] * keys[t * width + head * size + d];
    mine[t] = dot * rsqrtf(static_cast<float>(size));
    peak = fmaxf(peak, mine[t]);
  }
  float sum = 0;
  for (int t = 0; t <= last; ++t) {
    mine[t] = expf(mine[t] - peak);
    sum += mine[t];
  }
  for (int d = 0; d < size; ++d) {
    float mixed = 0;
    for (int t = 0; t <= last; ++t) mixed += mine[t] * values[t * width + head * size + d];
    out[row * width + head * size + d] = mixed / sum;
  }
}

__global__ void add_kernel(const float* branch, float* sum, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) sum[i] += branch[i];
}

__global__ void swish_gate_kernel(const float* gate, const float* up, float* out, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  out[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

__global__ void cross_entropy_kernel(const float* logits, const int* labels, float* loss,
                                     float* grad, int rows, int classes) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  const float* mine = logits + i * classes;
  float peak = mine[0];
  for (int c = 1; c < classes; ++c) peak = fmaxf(peak, mine[c]);
  float sum = 0;
  for (int c = 0; c < classes; ++c) sum += expf(mine[c] - peak);
  for (int c = 0; c < classes; ++c) {
    float hit = c == labels[i] ? 1.0f : 0.0f;
    grad[i * classes + c] = (expf(mine[c] - peak) / sum - hit) / rows;
  }
  atomicAdd(loss, (logf(sum) + peak - mine[labels[i]]) / rows);
}

__global__ void matmul_back_input_kernel(const float* grad, const float* weight, float* out,
                                         int rows, int inner, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * inner) return;
  float sum = 0;
  for (int c = 0; c < width; ++c)
    sum += grad[(i / inner) * width + c] * weight[c * inner + i % inner];
  out[i] = sum;
}

__global__ void matmul_back_weight_kernel(const float* grad, const float* x, float* out, int rows,
                                          int inner, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= inner * width) return;
  float sum = 0;
  for (int row = 0; row < rows; ++row)
    sum += grad[row * width + i / inner] * x[row * inner + i % inner];
  out[i] += sum;
}

__global__ void swish_gate_back_kernel(const float* gate, const float* up, const float* grad,
                                       float* grad_gate, float* grad_up, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float s = 1 / (1 + expf(-gate[i]));
  grad_up[i] = grad[i] * gate[i] * s;
  grad_gate[i] = grad[i] * up[i] * (s + gate[i] * s * (1 - s));
}

__global__ void attend_back_kernel(const float* scores, const float* values, const float* grad,
                                   float* grad_q, float* grad_k, float* grad_v, int rows, int width,
                                   int heads) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  int row = i / width;
  int head = (i % width) / (width / heads);
  float value = 0;
  for (int t = row; t < rows; ++t)
    value += scores[(t * heads + head) * 512 + row] * grad[t * width + i % width];
  grad_v[i] = value;
  grad_k[i] = value * values[i];
  grad_q[i] = grad[i] * values[i];
}

__global__ void rms_norm_back_kernel(const float* x, const float* gain, const float* scale,
                                     const float* grad, float* out, float* grad_gain, int rows,
                                     int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  float dot = 0;
  for (int k = 0; k < width; ++k) dot += grad[i * width + k] * gain[k] * x[i * width + k];
  float s = scale[i];
  for (int k = 0; k < width; ++k) {
    out[i * width + k] +=
        s * grad[i * width + k] * gain[k] - s * s * s * dot / width * x[i * width + k];
    atomicAdd(grad_gain + k, grad[i * width + k] * x[i * width + k] * s);
  }
}

__global__ void embed_back_kernel(const int* ids, const float* grad, float* grad_table, int rows,
                                  int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  atomicAdd(grad_table + ids[i / width] * width + i % width, grad[i]);
}

__global__ void norm_of_kernel(const float* x, float* out, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i != 0) return;
  float sum = 0;
  for (int k = 0; k < count; ++k) sum += x[k] * x[k];
  out[0] = sqrtf(sum);
}

__global__ void lion_kernel(float* param, const float* grad, float* moment, int count, float rate,
                            float decay, float scale) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float g = grad[i] * scale;
  float direction = 0.9f * moment[i] + 0.1f * g;
  param[i] -= rate * ((direction > 0) - (direction < 0) + decay * param[i]);
  moment[i] = 0.99f * moment[i] + 0.01f * g;
}

__global__ void average_kernel(const float* param, float* shadow, int count, float keep) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) shadow[i] = keep * shadow[i] + (1 - keep) * param[i];
}

static void embed(const int* ids, const float* table, float* out, int rows, int width,
                  cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows * width + threads - 1) / threads;
  embed_kernel<<<blocks, threads, 0, stream>>>(ids, table, out, rows, width);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void rms_norm(const float* x, const float* gain, float* out, float* scale, int rows,
                     int width, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows + threads - 1) / threads;
  rms_norm_kernel<<<blocks, threads, 0, stream>>>(x, gain, out, scale, rows, width);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void matmul(const float* x, const float* weight, float* out, int rows, int inner, int width,
                   cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows * width + threads - 1) / threads;
  matmul_kernel<<<blocks, threads, 0, stream>>>(x, weight, out, rows, inner, width);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void rotate(float* q, float* k, int rows, int width, int heads, int position,
                   cudaStream_t stream) {
  const int threads = 128;
  const int blocks = (rows * width / 2 + threads - 1) / threads;
  rotate_kernel<<<blocks, threads, 0, stream>>>(q, k, rows, width, heads, position);
  CHECK(cudaGetLastError());
}

static void append_cache(const float* k, const float* v, float* keys, float* values, int rows,
                         int width, int position, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows * width + threads - 1) / threads;
  append_cache_kernel<<<blocks, threads, 0, stream>>>(k, v, keys, values, rows, width, position);
  CHECK(cudaGetLastError());
}

static void attend(const float* q, const float* keys, const float* values, float* scores,
                   float* out, int rows, int width, int heads, int position, cudaStream_t stream) {
  const int threads = 128;
  const int blocks = (rows * heads + threads - 1) / threads;
  attend_kernel<<<blocks, threads, 0, stream>>>(q, keys, values, scores, out, rows, width, heads,
                                                position);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void add(const float* branch, float* sum, int count, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (count + threads - 1) / threads;
  add_kernel<<<blocks, threads, 0, stream>>>(branch, sum, count);
  CHECK(cudaGetLastError());
}

static void swish_gate(const float* gate, const float* up, float* out, int count,
                       cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (count + threads - 1) / threads;
  swish_gate_kernel<<<blocks, threads, 0, stream>>>(gate, up, out, count);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void cross_entropy(const float* logits, const int* labels, float* loss, float* grad,
                          int rows, int classes, cudaStream_t stream) {
  const int threads = 128;
  const int blocks = (rows + threads - 1) / threads;
  cross_entropy_kernel<<<blocks, threads, 0, stream>>>(logits, labels, loss, grad, rows, classes);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void matmul_back_input(const float* grad, const float* weight, float* out, int rows,
                              int inner, int width, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows * inner + threads - 1) / threads;
  matmul_back_input_kernel<<<blocks, threads, 0, stream>>>(grad, weight, out, rows, inner, width);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void matmul_back_weight(const float* grad, const float* x, float* out, int rows, int inner,
                               int width, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (inner * width + threads - 1) / threads;
  matmul_back_weight_kernel<<<blocks, threads, 0, stream>>>(grad, x, out, rows, inner, width);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void swish_gate_back(const float* gate, const float* up, const float* grad, float* grad_gate,
                            float* grad_up, int count, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (count + threads - 1) / threads;
  swish_gate_back_kernel<<<blocks, threads, 0, stream>>>(gate, up, grad, grad_gate, grad_up, count);
  CHECK(cudaGetLastError());
}

static void attend_back(const float* scores, const float* values, const float* grad, float* grad_q,
                        float* grad_k, float* grad_v, int rows, int width, int heads,
                        cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows * width + threads - 1) / threads;
  attend_back_kernel<<<blocks, threads, 0, stream>>>(scores, values, grad, grad_q, grad_k, grad_v,
                                                     rows, width, heads);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void rms_norm_back(const float* x, const float* gain, const float* scale, const float* grad,
                          float* out, float* grad_gain, int rows, int width, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows + threads - 1) / threads;
  rms_norm_back_kernel<<<blocks, threads, 0, stream>>>(x, gain, scale, grad, out, grad_gain, rows,
                                                       width);
  CHECK(cudaGetLastError());
}

static void embed_back(const int* ids, const float* grad, float* grad_table, int rows, int width,
                       cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (rows * width + threads - 1) / threads;
  embed_back_kernel<<<blocks, threads, 0, stream>>>(ids, grad, grad_table, rows, width);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void norm_of(const float* x, float* out, int count, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (1 + threads - 1) / threads;
  norm_of_kernel<<<blocks, threads, 0, stream>>>(x, out, count);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void lion(float* param, const float* grad, float* moment, int count, float rate, float decay,
                 float scale, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (count + threads - 1) / threads;
  lion_kernel<<<blocks, threads, 0, stream>>>(param, grad, moment, count, rate, decay, scale);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: redundant
}

static void average(const float* param, float* shadow, int count, float keep, cudaStream_t stream) {
  const int threads = 256;
  const int blocks = (count + threads - 1) / threads;
  average_kernel<<<blocks, threads, 0, stream>>>(param, shadow, count, keep);
  CHECK(cudaGetLastError());
  CHECK(cudaStreamSynchronize(stream));  // expect: required exit
}

constexpr int kMostLayers = 8;

struct Config {
  int vocabulary = 512;
  int context = 64;
  int width = 96;
  int heads = 6;
  int layers = 3;
  int hidden = 256;
};

/// Parameters lie in one block of memory, so that the optimiser runs once.
struct LayerView {
  float* gain1;
  float* query;
  float* key;
  float* value;
  float* out;
  float* gain2;
  float* gate;
  float* up;
  float* down;
};

struct Activations {
  float* normed1;
  float* scale1;
  float* q;
  float* k;
  float* v;
  float* scores;
  float* mixed;
  float* projected;
  float* normed2;
  float* scale2;
  float* gate;
  float* up;
  float* gated;
  float* down;
  float* keys;
  float* values;
};

static size_t layer_size(const Config& c) {
  const size_t square = static_cast<size_t>(c.width) * c.width;
  const size_t wide = static_cast<size_t>(c.width) * c.hidden;
  return 2 * c.width + 4 * square + 3 * wide;
}

static void view_of(const Config& c, float* block, int layer, LayerView& view) {
  const size_t square = static_cast<size_t>(c.width) * c.width;
  const size_t wide = static_cast<size_t>(c.width) * c.hidden;
  float* at = block + static_cast<size_t>(c.vocabulary) * c.width + c.width + layer * layer_size(c);
  view.gain1 = at;
  view.query = view.gain1 + c.width;
  view.key = view.query + square;
  view.value = view.key + square;
  view.out = view.value + square;
  view.gain2 = view.out + square;
  view.gate = view.gain2 + c.width;
  view.up = view.gate + wide;
  view.down = view.up + wide;
}

static float* device_floats(size_t count) {
  float* memory = nullptr;
  CHECK(cudaMalloc(&memory, count * sizeof(float)));
  CHECK(cudaMemset(memory, 0, count * sizeof(float)));
  return memory;
}

class Random {
 public:
  explicit Random(unsigned long long seed) : state_(seed) {}
  unsigned next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<unsigned>((state_ * 2685821657736338717ULL) >> 32);
  }
  float uniform() { return static_cast<float>(next() >> 8) / 16777216.0f; }

 private:
  unsigned long long state_;
};

/// Token ids of a text: the commonest pairs of bytes are tokens of their own.
class Tokenizer {
 public:
  explicit Tokenizer(const std::string& text) {
    int counts[256][256] = {};
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      ++counts[static_cast<unsigned char>(text[i])][static_cast<unsigned char>(text[i + 1])];
    }
    memset(merged_, 0, sizeof(merged_));
    for (int id = 256; id < 512; ++id) {
      int best = 0;
      for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; ++b) {
          if (merged_[a][b] == 0 && counts[a][b] > counts[best / 256][best % 256])
            best = a * 256 + b;
        }
      }
      merged_[best / 256][best % 256] = id;
      counts[best / 256][best % 256] = 0;
    }
  }

  std::vector<int> encode(const std::string& text) const {
    std::vector<int> ids;
    for (size_t i = 0; i < text.size(); ++i) {
      const int a = static_cast<unsigned char>(text[i]);
      const int b = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
      if (merged_[a][b] != 0) {
        ids.push_back(merged_[a][b]);
        ++i;
      } else {
        ids.push_back(a);
      }
    }
    return ids;
  }

 private:
  int merged_[256][256];
};

class Model {
 public:
  explicit Model(const Config& config) : config_(config) {
    CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    CHECK(cudaEventCreate(&began_));
    CHECK(cudaEventCreate(&ended_));
    count_ = static_cast<size_t>(config.vocabulary) * config.width + config.width +
             config.layers * layer_size(config);
    params_ = device_floats(count_);
    grads_ = device_floats(count_);
    moments_ = device_floats(count_);
    shadow_ = device_floats(count_);
    allocate_activations();
    CHECK(cudaMalloc(&ids_, config.context * sizeof(int)));
    CHECK(cudaMalloc(&labels_, config.context * sizeof(int)));
    for (int i = 0; i < 2; ++i) {
      CHECK(cudaMallocHost(&staged_ids_[i], config.context * sizeof(int)));
      CHECK(cudaMallocHost(&staged_labels_[i], config.context * sizeof(int)));
    }
    CHECK(cudaMallocHost(&host_loss_, sizeof(float)));
    CHECK(cudaMallocHost(&host_norm_, sizeof(float)));
    CHECK(cudaMallocHost(&host_logits_, config.vocabulary * sizeof(float)));
    start_parameters();
  }

  float train_step(const std::vector<int>& text, size_t at, float rate, int step) {
    load(text, at, step);
    forward(config_.context, 0);
    CHECK(cudaMemsetAsync(loss_, 0, sizeof(float), stream_));
    cross_entropy(logits_, labels_, loss_, grad_logits_, config_.context, config_.vocabulary,
                  stream_);
    CHECK(cudaMemcpyAsync(host_loss_, loss_, sizeof(float), cudaMemcpyDeviceToHost, stream_));
    backward(config_.context);
    norm_of(grads_, norm_, static_cast<int>(count_), stream_);
    CHECK(cudaMemcpyAsync(host_norm_, norm_, sizeof(float), cudaMemcpyDeviceToHost, stream_));
    CHECK(cudaStreamSynchronize(stream_));  // expect: required reads host_norm
    const float scale = host_norm_[0] > 1 ? 1 / host_norm_[0] : 1;
    lion(params_, grads_, moments_, static_cast<int>(count_), rate, 0.1f, scale, stream_);
    average(params_, shadow_, static_cast<int>(count_), 0.99f, stream_);
    return host_loss_[0];
  }

  float evaluate(const std::vector<int>& text, int batches) {
    float total = 0;
    for (int i = 0; i < batches; ++i) {
      load(text, static_cast<size_t>(i) * config_.context, i);
      forward(config_.context, 0);
      CHECK(cudaMemsetAsync(loss_, 0, sizeof(float), stream_));
      cross_entropy(logits_, labels_, loss_, grad_logits_, config_.context, config_.vocabulary,
                    stream_);
      CHECK(cudaMemcpyAsync(host_loss_, loss_, sizeof(float), cudaMemcpyDeviceToHost, stream_));
      CHECK(cudaStreamSynchronize(stream_));  // expect: required reads host_loss
      total += host_loss_[0];
    }
    return total / static_cast<float>(batches);
  }

  std::vector<int> generate(int first, int count, float heat) {
    std::vector<int> out;
    int id = first;
    for (int position = 0; position < count; ++position) {
      staged_ids_[0][0] = id;
      CHECK(cudaMemcpyAsync(ids_, staged_ids_[0], sizeof(int), cudaMemcpyHostToDevice, stream_));
      forward(1, position);
      CHECK(cudaMemcpyAsync(host_logits_, logits_, config_.vocabulary * sizeof(float),
                            cudaMemcpyDeviceToHost, stream_));
      CHECK(cudaStreamSynchronize(stream_));  // expect: required reads host_logits
      id = draw(heat);
      out.push_back(id);
    }
    return out;
  }

  bool save(const char* path) {
    std::vector<float> values(count_);
    FILE* file = fopen(path, "wb");
    if (file == nullptr) return false;
    CHECK(cudaStreamSynchronize(stream_));  // expect: redundant
    CHECK(cudaMemcpyAsync(values.data(), params_, count_ * sizeof(float), cudaMemcpyDeviceToHost,
                          stream_));
    CHECK(cudaStreamSynchronize(stream_));  // expect: required reads values
    fwrite(values.data(), sizeof(float), count_, file);
    CHECK(cudaMemcpyAsync(values.data(), moments_, count_ * sizeof(float), cudaMemcpyDeviceToHost,
                          stream_));
    CHECK(cudaStreamSynchronize(stream_));  // expect: required reads values
    fwrite(values.data(), sizeof(float), count_, file);
    fclose(file);
    return true;
  }

  bool load_from(const char* path) {
    std::vector<float> values(count_);
    FILE* file = fopen(path, "rb");
    if (file == nullptr) return false;
    bool good = fread(values.data(), sizeof(float), count_, file) == count_;
    if (good) {
      CHECK(cudaMemcpyAsync(params_, values.data(), count_ * sizeof(float), cudaMemcpyHostToDevice,
                            stream_));
      CHECK(cudaStreamSynchronize(stream_));  // expect: required writes values
      good = fread(values.data(), sizeof(float), count_, file) == count_;
    }
    if (good) {
      CHECK(cudaMemcpyAsync(moments_, values.data(), count_ * sizeof(float), cudaMemcpyHostToDevice,
                            stream_));
      CHECK(cudaStreamSynchronize(stream_));  // expect: required scope
    }
    fclose(file);
    return good;
  }

  /// How sure the model is of each token of a text, for the report.
  std::vector<float> certainty(const std::vector<int>& text) {
    std::vector<float> out;
    for (int position = 0; position + 1 < config_.context; ++position) {
      staged_ids_[1][0] = text[position % text.size()];
      CHECK(cudaMemcpyAsync(ids_, staged_ids_[1], sizeof(int), cudaMemcpyHostToDevice, stream_));
      forward(1, position);
      CHECK(cudaMemcpyAsync(host_logits_, logits_, config_.vocabulary * sizeof(float),
                            cudaMemcpyDeviceToHost, stream_));
      CHECK(cudaStreamSynchronize(stream_));  // expect: required reads host_logits
      float peak = host_logits_[0];
      for (int i = 1; i < config_.vocabulary; ++i) peak = fmaxf(peak, host_logits_[i]);
      float sum = 0;
      for (int i = 0; i < config_.vocabulary; ++i) sum += expf(host_logits_[i] - peak);
      const int next = text[(position + 1) % text.size()];
      out.push_back(expf(host_logits_[next] - peak) / sum);
    }
    return out;
  }

  /// Eight bits a parameter, for small devices; the averaged parameters are the better ones.
  size_t export_bytes(const char* path) {
    std::vector<float> values(count_);
    CHECK(cudaMemcpyAsync(values.data(), shadow_, count_ * sizeof(float), cudaMemcpyDeviceToHost,
                          stream_));
    CHECK(cudaStreamSynchronize(stream_));  // expect: required reads values
    FILE* file = fopen(path, "wb");
    if (file == nullptr) return 0;
    size_t written = 0;
    for (size_t begin = 0; begin < count_; begin += 64) {
      const size_t end = begin + 64 < count_ ? begin + 64 : count_;
      float most = 1e-12f;
      for (size_t i = begin; i < end; ++i) most = fmaxf(most, fabsf(values[i]));
      signed char packed[64] = {};
      for (size_t i = begin; i < end; ++i) {
        packed[i - begin] = static_cast<signed char>(values[i] / most * 127);
      }
      written += fwrite(&most, 1, sizeof(most), file);
      written += fwrite(packed, 1, end - begin, file);
    }
    fclose(file);
    return written;
  }

  float milliseconds_of_forward() {
    float milliseconds = 0;
    CHECK(cudaEventRecord(began_, stream_));
    forward(config_.context, 0);
    CHECK(cudaEventRecord(ended_, stream_));
    CHECK(cudaEventSynchronize(ended_));  // expect: timing
    CHECK(cudaEventElapsedTime(&milliseconds, began_, ended_));
    return milliseconds;
  }

  const Config& config() const { return config_; }

 private:
  void allocate_activations() {
    const Config& c = config_;
    const size_t wide = static_cast<size_t>(c.context) * c.width;
    const size_t hidden = static_cast<size_t>(c.context) * c.hidden;
    for (int i = 0; i < c.layers; ++i) {
      Activations& a = acts_[i];
      a.normed1 = device_floats(wide);
      a.scale1 = device_floats(c.context);
      a.q = device_floats(wide);
      a.k = device_floats(wide);
      a.v = device_floats(wide);
      a.scores = device_floats(static_cast<size_t>(c.context) * c.heads * 512);
      a.mixed = device_floats(wide);
      a.projected = device_floats(wide);
      a.normed2 = device_floats(wide);
      a.scale2 = device_floats(c.context);
      a.gate = device_floats(hidden);
      a.up = device_floats(hidden);
      a.gated = device_floats(hidden);
      a.down = device_floats(wide);
      a.keys = device_floats(static_cast<size_t>(512) * c.width);
      a.values = device_floats(static_cast<size_t>(512) * c.width);
    }
    residual_ = device_floats(wide);
    final_ = device_floats(wide);
    final_scale_ = device_floats(c.context);
    logits_ = device_floats(static_cast<size_t>(c.context) * c.vocabulary);
    grad_logits_ = device_floats(static_cast<size_t>(c.context) * c.vocabulary);
    grad_residual_ = device_floats(wide);
    grad_wide_ = device_floats(wide);
    grad_q_ = device_floats(wide);
    grad_k_ = device_floats(wide);
    grad_v_ = device_floats(wide);
    grad_hidden_ = device_floats(hidden);
    grad_gate_ = device_floats(hidden);
    grad_up_ = device_floats(hidden);
    loss_ = device_floats(1);
    norm_ = device_floats(1);
  }

  void start_parameters() {
    Random random(99);
    std::vector<float> values(count_);
    for (float& value : values) value = 0.04f * (random.uniform() - 0.5f);
    CHECK(cudaMemcpy(params_, values.data(), count_ * sizeof(float), cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(shadow_, values.data(), count_ * sizeof(float), cudaMemcpyHostToDevice));
    CHECK(cudaDeviceSynchronize());  // expect: required order
  }

  void load(const std::vector<int>& text, size_t at, int step) {
    const int slot = step % 2;
    for (int i = 0; i < config_.context; ++i) {
      staged_ids_[slot][i] = text[(at + i) % text.size()];
      staged_labels_[slot][i] = text[(at + i + 1) % text.size()];
    }
    CHECK(cudaMemcpyAsync(ids_, staged_ids_[slot], config_.context * sizeof(int),
                          cudaMemcpyHostToDevice, stream_));
    CHECK(cudaMemcpyAsync(labels_, staged_labels_[slot], config_.context * sizeof(int),
                          cudaMemcpyHostToDevice, stream_));
  }

  void forward(int rows, int position) {
    const Config& c = config_;
    float* table = params_;
    embed(ids_, table, residual_, rows, c.width, stream_);
    for (int layer = 0; layer < c.layers; ++layer) {
      LayerView w;
      view_of(c, params_, layer, w);
      Activations& a = acts_[layer];
      rms_norm(residual_, w.gain1, a.normed1, a.scale1, rows, c.width, stream_);
      matmul(a.normed1, w.query, a.q, rows, c.width, c.width, stream_);
      matmul(a.normed1, w.key, a.k, rows, c.width, c.width, stream_);
      matmul(a.normed1, w.value, a.v, rows, c.width, c.width, stream_);
      rotate(a.q, a.k, rows, c.width, c.heads, position, stream_);
      append_cache(a.k, a.v, a.keys, a.values, rows, c.width, position, stream_);
      attend(a.q, a.keys, a.values, a.scores, a.mixed, rows, c.width, c.heads, position, stream_);
      matmul(a.mixed, w.out, a.projected, rows, c.width, c.width, stream_);
      add(a.projected, residual_, rows * c.width, stream_);
      rms_norm(residual_, w.gain2, a.normed2, a.scale2, rows, c.width, stream_);
      matmul(a.normed2, w.gate, a.gate, rows, c.width, c.hidden, stream_);
      matmul(a.normed2, w.up, a.up, rows, c.width, c.hidden, stream_);
      swish_gate(a.gate, a.up, a.gated, rows * c.hidden, stream_);
      matmul(a.gated, w.down, a.down, rows, c.hidden, c.width, stream_);
      add(a.down, residual_, rows * c.width, stream_);
    }
    float* gain = params_ + static_cast<size_t>(c.vocabulary) * c.width;
    rms_norm(residual_, gain, final_, final_scale_, rows, c.width, stream_);
    matmul(final_, table, logits_, rows, c.width, c.vocabulary, stream_);
  }

  void backward(int rows) {
    const Config& c = config_;
    CHECK(cudaMemsetAsync(grads_, 0, count_ * sizeof(float), stream_));
    CHECK(cudaMemsetAsync(grad_residual_, 0, static_cast<size_t>(rows) * c.width * sizeof(float),
                          stream_));
    matmul_back_input(grad_logits_, params_, grad_wide_, rows, c.width, c.vocabulary, stream_);
    matmul_back_weight(grad_logits_, final_, grads_, rows, c.width, c.vocabulary, stream_);
    const size_t after_table = static_cast<size_t>(c.vocabulary) * c.width;
    rms_norm_back(residual_, params_ + after_table, final_scale_, grad_wide_, grad_residual_,
                  grads_ + after_table, rows, c.width, stream_);
    for (int layer = c.layers - 1; layer >= 0; --layer) {
      LayerView w;
      view_of(c, params_, layer, w);
      LayerView g;
      view_of(c, grads_, layer, g);
      Activations& a = acts_[layer];
      matmul_back_input(grad_residual_, w.down, grad_hidden_, rows, c.hidden, c.width, stream_);
      matmul_back_weight(grad_residual_, a.gated, g.down, rows, c.hidden, c.width, stream_);
      swish_gate_back(a.gate, a.up, grad_hidden_, grad_gate_, grad_up_, rows * c.hidden, stream_);
      matmul_back_weight(grad_gate_, a.normed2, g.gate, rows, c.width, c.hidden, stream_);
      matmul_back_weight(grad_up_, a.normed2, g.up, rows, c.width, c.hidden, stream_);
      matmul_back_input(grad_gate_, w.gate, grad_wide_, rows, c.width, c.hidden, stream_);
      rms_norm_back(a.normed2, w.gain2, a.scale2, grad_wide_, grad_residual_, g.gain2, rows,
                    c.width, stream_);
      matmul_back_input(grad_residual_, w.out, grad_wide_, rows, c.width, c.width, stream_);
      matmul_back_weight(grad_residual_, a.mixed, g.out, rows, c.width, c.width, stream_);
      attend_back(a.scores, a.v, grad_wide_, grad_q_, grad_k_, grad_v_, rows, c.width, c.heads,
                  stream_);
      matmul_back_weight(grad_q_, a.normed1, g.query, rows, c.width, c.width, stream_);
      matmul_back_weight(grad_k_, a.normed1, g.key, rows, c.width, c.width, stream_);
      matmul_back_weight(grad_v_, a.normed1, g.value, rows, c.width, c.width, stream_);
      matmul_back_input(grad_v_, w.value, grad_wide_, rows, c.width, c.width, stream_);
      rms_norm_back(a.normed1, w.gain1, a.scale1, grad_wide_, grad_residual_, g.gain1, rows,
                    c.width, stream_);
    }
    embed_back(ids_, grad_residual_, grads_, rows, c.width, stream_);
  }

  int draw(float heat) {
    float peak = host_logits_[0];
    for (int i = 1; i < config_.vocabulary; ++i) peak = fmaxf(peak, host_logits_[i]);
    float sum = 0;
    for (int i = 0; i < config_.vocabulary; ++i) sum += expf((host_logits_[i] - peak) / heat);
    float left = random_.uniform() * sum;
    for (int i = 0; i < config_.vocabulary; ++i) {
      left -= expf((host_logits_[i] - peak) / heat);
      if (left <= 0) return i;
    }
    return config_.vocabulary - 1;
  }

  Config config_;
  size_t count_ = 0;
  cudaStream_t stream_;
  cudaEvent_t began_;
  cudaEvent_t ended_;
  Activations acts_[kMostLayers];

  float* params_;
  float* grads_;
  float* moments_;
  float* shadow_;
  int* ids_;
  int* labels_;
  int* staged_ids_[2];
  int* staged_labels_[2];
  float* host_loss_;
  float* host_norm_;
  float* host_logits_;
  float* residual_;
  float* final_;
  float* final_scale_;
  float* logits_;
  float* loss_;
  float* norm_;
  float* grad_logits_;
  float* grad_residual_;
  float* grad_wide_;
  float* grad_q_;
  float* grad_k_;
  float* grad_v_;
  float* grad_hidden_;
  float* grad_gate_;
  float* grad_up_;
  Random random_{2024};
};

/// What the run is asked to do.
struct Options {
  const char* text = "text.txt";
  const char* checkpoint = "model.bin";
  int steps = 300;
  float rate = 3e-4f;
  float heat = 0.9f;
  bool report = false;
};

static bool parse(int argc, char** argv, Options& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--report") {
      out.report = true;
      continue;
    }
    if (value == nullptr) return false;
    ++i;
    if (word == "--text") {
      out.text = value;
    } else if (word == "--checkpoint") {
      out.checkpoint = value;
    } else if (word == "--steps") {
      out.steps = atoi(value);
    } else if (word == "--rate") {
      out.rate = static_cast<float>(atof(value));
    } else if (word == "--heat") {
      out.heat = static_cast<float>(atof(value));
    } else {
      return false;
    }
  }
  return out.steps > 0 && out.heat > 0;
}

/// Which stretches of the text are read next: all of them once, in an order that changes each time.
class Order {
 public:
  explicit Order(size_t stretches) {
    for (size_t i = 0; i < stretches; ++i) places_.push_back(i);
  }
  size_t next() {
    if (at_ == places_.size()) {
      at_ = 0;
      for (size_t i = places_.size(); i > 1; --i) {
        const size_t other = random_.next() % i;
        const size_t kept = places_[i - 1];
        places_[i - 1] = places_[other];
        places_[other] = kept;
      }
    }
    return places_[at_++];
  }

 private:
  std::vector<size_t> places_;
  size_t at_ = 0;
  Random random_{7};
};

/// The loss as a line of bars, one for each twentieth of the run.
class Curve {
 public:
  explicit Curve(int steps) : width_(steps / 20 + 1) {}
  void add(int step, float loss) {
    const size_t bin = static_cast<size_t>(step / width_);
    if (bin >= sums_.size()) {
      sums_.resize(bin + 1, 0);
      counts_.resize(bin + 1, 0);
    }
    sums_[bin] += loss;
    ++counts_[bin];
  }
  void print() const {
    for (size_t bin = 0; bin < sums_.size(); ++bin) {
      if (counts_[bin] == 0) continue;
      const float mean = sums_[bin] / static_cast<float>(counts_[bin]);
      printf("%5d ", static_cast<int>(bin) * width_);
      for (int i = 0; i < static_cast<int>(mean * 8); ++i) putchar('#');
      printf(" %.3f\n", mean);
    }
  }

 private:
  int width_;
  std::vector<float> sums_;
  std::vector<int> counts_;
};

/// Linear up, then down to a tenth.
static float rate_at(int step, int steps, float top) {
  const int warm = steps / 20 + 1;
  if (step < warm) return top * static_cast<float>(step + 1) / static_cast<float>(warm);
  const float done = static_cast<float>(step - warm) / static_cast<float>(steps - warm + 1);
  return top * (1 - 0.9f * done);
}

static std::string read_text(const char* path) {
  std::string text;
  FILE* file = fopen(path, "rb");
  if (file == nullptr) {
    for (int i = 0; i < 20000; ++i) text += "the cat sat on the mat. "[i % 24];
    return text;
  }
  char piece[4096];
  for (size_t got = 0; (got = fread(piece, 1, sizeof(piece), file)) > 0;) text.append(piece, got);
  fclose(file);
  return text;
}

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    printf(
        "usage: rotary [--text FILE] [--checkpoint FILE] [--steps N] [--rate R] [--heat H] "
        "[--report]\n");
    return 2;
  }
  const std::string text = read_text(options.text);
  const Tokenizer tokenizer(text);
  const std::vector<int> ids = tokenizer.encode(text);
  std::vector<int> held;
  for (size_t i = ids.size() * 9 / 10; i < ids.size(); ++i) held.push_back(ids[i]);
  Config config;
  Model model(config);
  Curve curve(options.steps);
  if (model.load_from(options.checkpoint)) printf("resumed\n");
  Order order(ids.size() / config.context - 1);
  for (int step = 0; step < options.steps; ++step) {
    const float loss = model.train_step(ids, order.next() * config.context,
                                        rate_at(step, options.steps, options.rate), step);
    curve.add(step, loss);
    if (step % 20 == 0) printf("step %d loss %.4f\n", step, loss);
    if (step % 100 == 99) {
      printf("a forward pass takes %.3f ms\n", model.milliseconds_of_forward());
      printf("held out: %.4f\n", model.evaluate(held, 8));
      for (const int id : model.generate(ids[0], 24, options.heat)) printf("%d ", id);
      printf("\n");
      if (!model.save(options.checkpoint)) printf("could not save\n");
    }
  }
  curve.print();
  if (options.report) {
    for (const float one : model.certainty(held)) printf("%.2f ", one);
    printf("\n%zu bytes\n", model.export_bytes("model.int8"));
  }
  return 0;
}
