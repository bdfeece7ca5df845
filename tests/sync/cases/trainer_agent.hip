// Deep Q-learning in HIP: episodes run on the host against a network on the device, a replay buffer
// in host memory feeds batches through pinned memory, a second network follows the first.
#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

__global__ void normalise_kernel(const float* raw, const float* mean, const float* spread,
                                 float* out, int rows, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  out[i] = (raw[i] - mean[i % width]) / (spread[i % width] + 1e-3f);
}

__global__ void dense_kernel(const float* x, const float* weight, const float* bias, float* out,
                             int rows, int inner, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  float sum = bias[i % width];
  for (int k = 0; k < inner; ++k)
    sum += x[(i / width) * inner + k] * weight[(i % width) * inner + k];
  out[i] = sum;
}

__global__ void leaky_kernel(const float* x, float* out, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) out[i] = x[i] > 0 ? x[i] : 0.01f * x[i];
}

__global__ void duel_kernel(const float* value, const float* advantage, float* q, int rows,
                            int actions) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  float mean = 0;
  for (int a = 0; a < actions; ++a) mean += advantage[i * actions + a];
  mean /= actions;
  for (int a = 0; a < actions; ++a)
    q[i * actions + a] = value[i] + advantage[i * actions + a] - mean;
}

__global__ void best_action_kernel(const float* q, float* chosen, int rows, int actions) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  int best = 0;
  for (int a = 1; a < actions; ++a) {
    if (q[i * actions + a] > q[i * actions + best]) best = a;
  }
  chosen[i] = best;
}

__global__ void bootstrap_kernel(const float* rewards, const float* ended, const float* next_q,
                                 const float* choice, float* goal, int rows, int actions,
                                 float discount) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  int a = static_cast<int>(choice[i]);
  goal[i] = rewards[i] + (1 - ended[i]) * discount * next_q[i * actions + a];
}

__global__ void huber_kernel(const float* q, const float* actions_taken, const float* goal,
                             const float* importance, float* grad, float* error, int rows,
                             int actions) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  int a = static_cast<int>(actions_taken[i]);
  float d = q[i * actions + a] - goal[i];
  error[i] = d < 0 ? -d : d;
  float clipped = d > 1 ? 1 : d < -1 ? -1 : d;
  for (int k = 0; k < actions; ++k)
    grad[i * actions + k] = k == a ? clipped * importance[i] / rows : 0;
}

__global__ void mean_of_kernel(const float* x, float* out, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i != 0) return;
  float sum = 0;
  for (int k = 0; k < count; ++k) sum += x[k];
  out[0] = sum / count;
}

__global__ void duel_back_kernel(const float* grad, float* grad_value, float* grad_advantage,
                                 int rows, int actions) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  float sum = 0;
  for (int a = 0; a < actions; ++a) sum += grad[i * actions + a];
  grad_value[i] = sum;
  for (int a = 0; a < actions; ++a)
    grad_advantage[i * actions + a] = grad[i * actions + a] - sum / actions;
}

__global__ void dense_back_input_kernel(const float* grad, const float* weight, float* out,
                                        int rows, int inner, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * inner) return;
  float sum = 0;
  for (int c = 0; c < width; ++c)
    sum += grad[(i / inner) * width + c] * weight[c * inner + i % inner];
  out[i] = sum;
}

__global__ void dense_back_weight_kernel(const float* grad, const float* x, float* out, int rows,
                                         int inner, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= inner * width) return;
  float sum = 0;
  for (int row = 0; row < rows; ++row)
    sum += grad[row * width + i / inner] * x[row * inner + i % inner];
  out[i] = sum;
}

__global__ void dense_back_bias_kernel(const float* grad, float* out, int rows, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= width) return;
  float sum = 0;
  for (int row = 0; row < rows; ++row) sum += grad[row * width + i];
  out[i] = sum;
}

__global__ void leaky_back_kernel(const float* x, float* grad, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count && x[i] <= 0) grad[i] *= 0.01f;
}

__global__ void add_into_kernel(const float* part, float* whole, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) whole[i] += part[i];
}

__global__ void rms_step_kernel(float* param, const float* grad, float* square, int count,
                                float rate) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  square[i] = 0.95f * square[i] + 0.05f * grad[i] * grad[i];
  param[i] -= rate * grad[i] / (0.001f + square[i]);
}

__global__ void blend_kernel(const float* online, float* target, int count, float share) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) target[i] += share * (online[i] - target[i]);
}

__global__ void noisy_kernel(float* param, const float* noise, int count, float spread) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) param[i] += spread * noise[i];
}

__global__ void watch_states_kernel(const float* raw, float* mean, float* spread, int rows,
                                    int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= width) return;
  for (int row = 0; row < rows; ++row) {
    float d = raw[row * width + i] - mean[i];
    mean[i] += 0.001f * d;
    spread[i] += 0.001f * ((d < 0 ? -d : d) - spread[i]);
  }
}

constexpr int kState = 6;
constexpr int kActions = 4;
constexpr int kHidden = 64;
constexpr int kBatch = 32;

static const char* const kActionNames[kActions] = {"left", "right", "brake", "grasp"};

/// A cart on a line with two doors; small, but not solved by chance.
class World {
 public:
  void reset(unsigned seed) {
    seed_ = seed * 2654435761u + 1;
    position_ = 0;
    speed_ = 0;
    door_ = static_cast<float>(random() % 100) / 50 - 1;
    key_ = static_cast<float>(random() % 100) / 50 - 1;
    has_key_ = false;
    age_ = 0;
  }

  void observe(float* out) const {
    out[0] = position_;
    out[1] = speed_;
    out[2] = door_;
    out[3] = key_;
    out[4] = has_key_ ? 1.0f : 0.0f;
    out[5] = static_cast<float>(age_) / 100;
  }

  float act(int action, bool& ended) {
    ++age_;
    if (action == 0) speed_ -= 0.05f;
    if (action == 1) speed_ += 0.05f;
    if (action == 2) speed_ *= 0.5f;
    position_ += speed_;
    if (position_ < -1 || position_ > 1) {
      position_ = position_ < 0 ? -1.0f : 1.0f;
      speed_ = 0;
    }
    float reward = -0.01f;
    if (!has_key_ && std::fabs(position_ - key_) < 0.1f && action == 3) {
      has_key_ = true;
      reward += 0.5f;
    }
    ended = age_ >= 100;
    if (has_key_ && std::fabs(position_ - door_) < 0.1f && action == 3) {
      reward += 1;
      ended = true;
    }
    return reward;
  }

 private:
  unsigned random() {
    seed_ = seed_ * 1664525u + 1013904223u;
    return seed_ >> 8;
  }

  unsigned seed_ = 1;
  float position_ = 0;
  float speed_ = 0;
  float door_ = 0;
  float key_ = 0;
  bool has_key_ = false;
  int age_ = 0;
};

struct Experience {
  float state[kState];
  float next[kState];
  float reward;
  float ended;
  float action;
  float priority;
};

/// Keeps the last so many experiences; what surprised is drawn more often.
class Replay {
 public:
  explicit Replay(std::size_t room) : room_(room) {}

  void add(const Experience& one) {
    if (all_.size() < room_) {
      all_.push_back(one);
    } else {
      all_[next_] = one;
    }
    next_ = (next_ + 1) % room_;
  }

  std::size_t size() const { return all_.size(); }
  const Experience& at(std::size_t i) const { return all_[i]; }
  void set_priority(std::size_t i, float priority) { all_[i].priority = priority; }

  std::size_t draw(unsigned random) const {
    std::size_t best = random % all_.size();
    for (int i = 0; i < 3; ++i) {
      random = random * 1664525u + 1013904223u;
      const std::size_t other = (random >> 4) % all_.size();
      if (all_[other].priority > all_[best].priority) best = other;
    }
    return best;
  }

 private:
  std::size_t room_;
  std::size_t next_ = 0;
  std::vector<Experience> all_;
};

static float* device_floats(std::size_t count) {
  float* memory = nullptr;
  hipMalloc(&memory, count * sizeof(float));
  hipMemset(memory, 0, count * sizeof(float));
  return memory;
}

static float* pinned_floats(std::size_t count) {
  float* memory = nullptr;
  hipHostMalloc(&memory, count * sizeof(float), 0);
  for (std::size_t i = 0; i < count; ++i) memory[i] = 0;
  return memory;
}

struct Dense {
  float* weight;
  float* bias;
  float* grad_weight;
  float* grad_bias;
  float* square_weight;
  float* square_bias;
  int inner;
  int width;
};

struct Network {
  Dense first;
  Dense second;
  Dense worth;
  Dense edge;
};

/// What a pass of one network leaves behind.
struct Pass {
  float* input;
  float* one;
  float* one_active;
  float* two;
  float* two_active;
  float* value;
  float* advantage;
  float* q;
};

class Agent {
 public:
  Agent() {
    hipStreamCreateWithFlags(&stream_, hipStreamNonBlocking);
    make_network(online_, 1);
    make_network(target_, 1);
    make_pass(acting_, 1);
    make_pass(learning_, kBatch);
    make_pass(looking_, kBatch);
    raw_ = device_floats(kBatch * kState);
    raw_next_ = device_floats(kBatch * kState);
    mean_ = device_floats(kState);
    spread_ = device_floats(kState);
    rewards_ = device_floats(kBatch);
    ended_ = device_floats(kBatch);
    taken_ = device_floats(kBatch);
    importance_ = device_floats(kBatch);
    choice_ = device_floats(kBatch);
    goal_ = device_floats(kBatch);
    error_ = device_floats(kBatch);
    loss_ = device_floats(1);
    grad_q_ = device_floats(kBatch * kActions);
    grad_value_ = device_floats(kBatch);
    grad_advantage_ = device_floats(kBatch * kActions);
    grad_two_ = device_floats(kBatch * kHidden);
    grad_part_ = device_floats(kBatch * kHidden);
    grad_one_ = device_floats(kBatch * kHidden);
    host_state_ = pinned_floats(kState);
    host_q_ = pinned_floats(kActions);
    host_batch_ = pinned_floats(2 * kBatch * kState);
    host_plain_ = pinned_floats(4 * kBatch);
    host_error_ = pinned_floats(kBatch);
    host_loss_ = pinned_floats(1);
    host_params_ = pinned_floats(kHidden * kHidden);
    host_second_ = pinned_floats(kActions);
    host_noise_ = pinned_floats(kHidden * kActions);
    noise_ = device_floats(kHidden * kActions);
    hipDeviceSynchronize();  // expect: required order
  }

  ~Agent() {
    hipStreamSynchronize(stream_);  // expect: contract
    hipStreamDestroy(stream_);
  }

  int act(const World& world, float chance) {
    if (uniform() < chance) return static_cast<int>(random() % kActions);
    world.observe(host_state_);
    hipMemcpyAsync(raw_, host_state_, kState * sizeof(float), hipMemcpyHostToDevice, stream_);
    normalise(raw_, mean_, spread_, acting_.input, 1, kState);
    forward(online_, acting_, 1);
    hipMemcpyAsync(host_q_, acting_.q, kActions * sizeof(float), hipMemcpyDeviceToHost, stream_);
    hipStreamSynchronize(stream_);  // expect: required reads host_q
    int best = 0;
    for (int a = 1; a < kActions; ++a) {
      if (host_q_[a] > host_q_[best]) best = a;
    }
    return best;
  }

  float learn(Replay& replay, float rate) {
    gather(replay);
    hipMemcpyAsync(raw_, host_batch_, kBatch * kState * sizeof(float), hipMemcpyHostToDevice,
                   stream_);
    hipMemcpyAsync(raw_next_, host_batch_ + kBatch * kState, kBatch * kState * sizeof(float),
                   hipMemcpyHostToDevice, stream_);
    hipMemcpyAsync(rewards_, host_plain_, kBatch * sizeof(float), hipMemcpyHostToDevice, stream_);
    hipMemcpyAsync(ended_, host_plain_ + kBatch, kBatch * sizeof(float), hipMemcpyHostToDevice,
                   stream_);
    hipMemcpyAsync(taken_, host_plain_ + 2 * kBatch, kBatch * sizeof(float), hipMemcpyHostToDevice,
                   stream_);
    hipMemcpyAsync(importance_, host_plain_ + 3 * kBatch, kBatch * sizeof(float),
                   hipMemcpyHostToDevice, stream_);
    hipStreamSynchronize(stream_);  // expect: redundant
    watch_states(raw_, mean_, spread_, kBatch, kState);
    look_ahead();
    normalise(raw_, mean_, spread_, learning_.input, kBatch, kState);
    forward(online_, learning_, kBatch);
    huber(learning_.q, taken_, goal_, importance_, grad_q_, error_, kBatch, kActions);
    mean_of(error_, loss_, kBatch);
    backward();
    update(online_.first, rate);
    update(online_.second, rate);
    update(online_.worth, rate);
    update(online_.edge, rate);
    hipMemcpyAsync(host_error_, error_, kBatch * sizeof(float), hipMemcpyDeviceToHost, stream_);
    hipMemcpyAsync(host_loss_, loss_, sizeof(float), hipMemcpyDeviceToHost, stream_);
    hipStreamSynchronize(stream_);  // expect: required reads host_error
    for (int i = 0; i < kBatch; ++i) replay.set_priority(drawn_[i], host_error_[i]);
    return host_loss_[0];
  }

  void follow(float share) {
    blend_all(online_.first, target_.first, share);
    blend_all(online_.second, target_.second, share);
    blend_all(online_.worth, target_.worth, share);
    blend_all(online_.edge, target_.edge, share);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  /// What the networks think of one situation, for the log.
  void explain(const World& world) {
    world.observe(host_state_);
    hipMemcpyAsync(raw_, host_state_, kState * sizeof(float), hipMemcpyHostToDevice, stream_);
    normalise(raw_, mean_, spread_, acting_.input, 1, kState);
    forward(online_, acting_, 1);
    hipMemcpyAsync(host_q_, acting_.q, kActions * sizeof(float), hipMemcpyDeviceToHost, stream_);
    forward(target_, acting_, 1);
    hipMemcpyAsync(host_second_, acting_.q, kActions * sizeof(float), hipMemcpyDeviceToHost,
                   stream_);
    hipStreamSynchronize(stream_);  // expect: required reads host_q
    for (int a = 0; a < kActions; ++a) {
      std::printf("  %-5s online %.3f target %.3f\n", kActionNames[a], host_q_[a], host_second_[a]);
    }
  }

  /// Noise on the last layer instead of chance; drawn on the host, taken off again by the next
  /// call.
  void shake(float spread) {
    if (shaken_ != 0) noisy(online_.edge.weight, noise_, kHidden * kActions, -shaken_);
    hipStreamSynchronize(stream_);  // expect: redundant
    for (int i = 0; i < kHidden * kActions; ++i) host_noise_[i] = uniform() + uniform() - 1;
    hipMemcpyAsync(noise_, host_noise_, kHidden * kActions * sizeof(float), hipMemcpyHostToDevice,
                   stream_);
    noisy(online_.edge.weight, noise_, kHidden * kActions, spread);
    shaken_ = spread;
    hipStreamSynchronize(stream_);  // expect: required exit
  }

  bool save(const char* path) {
    std::FILE* file = std::fopen(path, "wb");
    if (file == nullptr) return false;
    write(file, online_.first.weight, kState * kHidden);
    write(file, online_.second.weight, kHidden * kHidden);
    write(file, online_.worth.weight, kHidden);
    write(file, online_.edge.weight, kHidden * kActions);
    std::fclose(file);
    return true;
  }

  bool restore(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return false;
    const bool good = read(file, online_.first.weight, kState * kHidden) &&
                      read(file, online_.second.weight, kHidden * kHidden) &&
                      read(file, online_.worth.weight, kHidden) &&
                      read(file, online_.edge.weight, kHidden * kActions);
    std::fclose(file);
    return good;
  }

  float uniform() { return static_cast<float>(random() % 65536) / 65536; }

 private:
  void normalise(const float* raw, const float* mean, const float* spread, float* out, int rows,
                 int width) {
    const dim3 block(64);
    const dim3 cover((rows * width + 63) / 64);
    normalise_kernel<<<cover, block, 0, stream_>>>(raw, mean, spread, out, rows, width);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void dense(const float* x, const float* weight, const float* bias, float* out, int rows,
             int inner, int width) {
    const dim3 block(64);
    const dim3 cover((rows * width + 63) / 64);
    dense_kernel<<<cover, block, 0, stream_>>>(x, weight, bias, out, rows, inner, width);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void leaky(const float* x, float* out, int count) {
    const dim3 block(64);
    const dim3 cover((count + 63) / 64);
    leaky_kernel<<<cover, block, 0, stream_>>>(x, out, count);
  }

  void duel(const float* value, const float* advantage, float* q, int rows, int actions) {
    const dim3 block(64);
    const dim3 cover((rows + 63) / 64);
    duel_kernel<<<cover, block, 0, stream_>>>(value, advantage, q, rows, actions);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void best_action(const float* q, float* chosen, int rows, int actions) {
    const dim3 block(64);
    const dim3 cover((rows + 63) / 64);
    best_action_kernel<<<cover, block, 0, stream_>>>(q, chosen, rows, actions);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void bootstrap(const float* rewards, const float* ended, const float* next_q, const float* choice,
                 float* goal, int rows, int actions, float discount) {
    const dim3 block(64);
    const dim3 cover((rows + 63) / 64);
    bootstrap_kernel<<<cover, block, 0, stream_>>>(rewards, ended, next_q, choice, goal, rows,
                                                   actions, discount);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void huber(const float* q, const float* actions_taken, const float* goal, const float* importance,
             float* grad, float* error, int rows, int actions) {
    const dim3 block(64);
    const dim3 cover((rows + 63) / 64);
    huber_kernel<<<cover, block, 0, stream_>>>(q, actions_taken, goal, importance, grad, error,
                                               rows, actions);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void mean_of(const float* x, float* out, int count) {
    const dim3 block(64);
    const dim3 cover((1 + 63) / 64);
    mean_of_kernel<<<cover, block, 0, stream_>>>(x, out, count);
  }

  void duel_back(const float* grad, float* grad_value, float* grad_advantage, int rows,
                 int actions) {
    const dim3 block(64);
    const dim3 cover((rows + 63) / 64);
    duel_back_kernel<<<cover, block, 0, stream_>>>(grad, grad_value, grad_advantage, rows, actions);
  }

  void dense_back_input(const float* grad, const float* weight, float* out, int rows, int inner,
                        int width) {
    const dim3 block(64);
    const dim3 cover((rows * inner + 63) / 64);
    dense_back_input_kernel<<<cover, block, 0, stream_>>>(grad, weight, out, rows, inner, width);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void dense_back_weight(const float* grad, const float* x, float* out, int rows, int inner,
                         int width) {
    const dim3 block(64);
    const dim3 cover((inner * width + 63) / 64);
    dense_back_weight_kernel<<<cover, block, 0, stream_>>>(grad, x, out, rows, inner, width);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void dense_back_bias(const float* grad, float* out, int rows, int width) {
    const dim3 block(64);
    const dim3 cover((width + 63) / 64);
    dense_back_bias_kernel<<<cover, block, 0, stream_>>>(grad, out, rows, width);
  }

  void leaky_back(const float* x, float* grad, int count) {
    const dim3 block(64);
    const dim3 cover((count + 63) / 64);
    leaky_back_kernel<<<cover, block, 0, stream_>>>(x, grad, count);
    hipStreamSynchronize(stream_);  // expect: redundant
  }

  void add_into(const float* part, float* whole, int count) {
    const dim3 block(64);
    const dim3 cover((count + 63) / 64);
    add_into_kernel<<<cover, block, 0, stream_>>>(part, whole, count);
  }

  void rms_step(float* param, const float* grad, float* square, int count, float rate) {
    const dim3 block(64);
    const dim3 cover((count + 63) / 64);
    rms_step_kernel<<<cover, block, 0, stream_>>>(param, grad, square, count, rate);
  }

  void blend(const float* online, float* target, int count, float share) {
    const dim3 block(64);
    const dim3 cover((count + 63) / 64);
    blend_kernel<<<cover, block, 0, stream_>>>(online, target, count, share);
  }

  void noisy(float* param, const float* noise, int count, float spread) {
    const dim3 block(64);
    const dim3 cover((count + 63) / 64);
    noisy_kernel<<<cover, block, 0, stream_>>>(param, noise, count, spread);
  }

  void watch_states(const float* raw, float* mean, float* spread, int rows, int width) {
    const dim3 block(64);
    const dim3 cover((width + 63) / 64);
    watch_states_kernel<<<cover, block, 0, stream_>>>(raw, mean, spread, rows, width);
  }

  unsigned random() {
    state_ = state_ * 1664525u + 1013904223u;
    return state_ >> 8;
  }

  void make_dense(Dense& d, int inner, int width, unsigned seed) {
    d.inner = inner;
    d.width = width;
    d.weight = device_floats(inner * width);
    d.bias = device_floats(width);
    d.grad_weight = device_floats(inner * width);
    d.grad_bias = device_floats(width);
    d.square_weight = device_floats(inner * width);
    d.square_bias = device_floats(width);
    std::vector<float> values(inner * width);
    for (float& value : values) {
      seed = seed * 1664525u + 1013904223u;
      value =
          (static_cast<float>(seed >> 16) / 65536 - 0.5f) / std::sqrt(static_cast<float>(inner));
    }
    hipMemcpy(d.weight, values.data(), inner * width * sizeof(float), hipMemcpyHostToDevice);
  }

  void make_network(Network& n, unsigned seed) {
    make_dense(n.first, kState, kHidden, seed);
    make_dense(n.second, kHidden, kHidden, seed + 1);
    make_dense(n.worth, kHidden, 1, seed + 2);
    make_dense(n.edge, kHidden, kActions, seed + 3);
  }

  void make_pass(Pass& p, int rows) {
    p.input = device_floats(rows * kState);
    p.one = device_floats(rows * kHidden);
    p.one_active = device_floats(rows * kHidden);
    p.two = device_floats(rows * kHidden);
    p.two_active = device_floats(rows * kHidden);
    p.value = device_floats(rows);
    p.advantage = device_floats(rows * kActions);
    p.q = device_floats(rows * kActions);
  }

  void gather(const Replay& replay) {
    for (int i = 0; i < kBatch; ++i) {
      drawn_[i] = replay.draw(random());
      const Experience& one = replay.at(drawn_[i]);
      std::memcpy(host_batch_ + i * kState, one.state, sizeof(one.state));
      std::memcpy(host_batch_ + (kBatch + i) * kState, one.next, sizeof(one.next));
      host_plain_[i] = one.reward;
      host_plain_[kBatch + i] = one.ended;
      host_plain_[2 * kBatch + i] = one.action;
      host_plain_[3 * kBatch + i] = 1 / (0.1f + one.priority);
    }
  }

  void forward(const Network& n, Pass& p, int rows) {
    dense(p.input, n.first.weight, n.first.bias, p.one, rows, kState, kHidden);
    leaky(p.one, p.one_active, rows * kHidden);
    dense(p.one_active, n.second.weight, n.second.bias, p.two, rows, kHidden, kHidden);
    leaky(p.two, p.two_active, rows * kHidden);
    dense(p.two_active, n.worth.weight, n.worth.bias, p.value, rows, kHidden, 1);
    dense(p.two_active, n.edge.weight, n.edge.bias, p.advantage, rows, kHidden, kActions);
    duel(p.value, p.advantage, p.q, rows, kActions);
  }

  /// The online network chooses, the target network says what it is worth.
  void look_ahead() {
    normalise(raw_next_, mean_, spread_, looking_.input, kBatch, kState);
    forward(online_, looking_, kBatch);
    best_action(looking_.q, choice_, kBatch, kActions);
    forward(target_, looking_, kBatch);
    bootstrap(rewards_, ended_, looking_.q, choice_, goal_, kBatch, kActions, 0.98f);
  }

  void dense_back(Dense& d, const float* grad, const float* x, int rows) {
    dense_back_weight(grad, x, d.grad_weight, rows, d.inner, d.width);
    dense_back_bias(grad, d.grad_bias, rows, d.width);
  }

  void backward() {
    duel_back(grad_q_, grad_value_, grad_advantage_, kBatch, kActions);
    dense_back(online_.worth, grad_value_, learning_.two_active, kBatch);
    dense_back(online_.edge, grad_advantage_, learning_.two_active, kBatch);
    dense_back_input(grad_value_, online_.worth.weight, grad_two_, kBatch, kHidden, 1);
    dense_back_input(grad_advantage_, online_.edge.weight, grad_part_, kBatch, kHidden, kActions);
    add_into(grad_part_, grad_two_, kBatch * kHidden);
    leaky_back(learning_.two, grad_two_, kBatch * kHidden);
    dense_back(online_.second, grad_two_, learning_.one_active, kBatch);
    dense_back_input(grad_two_, online_.second.weight, grad_one_, kBatch, kHidden, kHidden);
    leaky_back(learning_.one, grad_one_, kBatch * kHidden);
    dense_back(online_.first, grad_one_, learning_.input, kBatch);
  }

  void update(Dense& d, float rate) {
    rms_step(d.weight, d.grad_weight, d.square_weight, d.inner * d.width, rate);
    rms_step(d.bias, d.grad_bias, d.square_bias, d.width, rate);
  }

  void blend_all(const Dense& from, Dense& to, float share) {
    blend(from.weight, to.weight, from.inner * from.width, share);
    blend(from.bias, to.bias, from.width, share);
  }

  void write(std::FILE* file, const float* from, int count) {
    hipMemcpyAsync(host_params_, from, count * sizeof(float), hipMemcpyDeviceToHost, stream_);
    hipStreamSynchronize(stream_);  // expect: required reads host_params
    std::fwrite(host_params_, sizeof(float), count, file);
  }

  bool read(std::FILE* file, float* to, int count) {
    if (std::fread(host_params_, sizeof(float), count, file) != static_cast<std::size_t>(count))
      return false;
    hipMemcpyAsync(to, host_params_, count * sizeof(float), hipMemcpyHostToDevice, stream_);
    hipStreamSynchronize(stream_);  // expect: required writes host_params
    return true;
  }

  hipStream_t stream_;
  Network online_;
  Network target_;
  Pass acting_;
  Pass learning_;
  Pass looking_;
  float* raw_;
  float* raw_next_;
  float* mean_;
  float* spread_;
  float* rewards_;
  float* ended_;
  float* taken_;
  float* importance_;
  float* choice_;
  float* goal_;
  float* error_;
  float* loss_;
  float* grad_q_;
  float* grad_value_;
  float* grad_advantage_;
  float* grad_two_;
  float* grad_part_;
  float* grad_one_;
  float* host_state_;
  float* host_q_;
  float* host_batch_;
  float* host_plain_;
  float* host_error_;
  float* host_loss_;
  float* host_params_;
  float* host_second_;
  float* host_noise_;
  float* noise_;
  float shaken_ = 0;
  std::size_t drawn_[kBatch];
  unsigned state_ = 12345;
};

/// The state in one line, for looking over its shoulder.
static void print_state(const World& world) {
  float state[kState];
  world.observe(state);
  std::printf("at %.2f, speed %.2f, door %.2f, key %.2f%s\n", state[0], state[1], state[2],
              state[3], state[4] > 0 ? ", has the key" : "");
}

/// Means over windows, and the best so far.
class Record {
 public:
  void add(float reward, float loss) {
    rewards_[count_ % kWindow] = reward;
    losses_[count_ % kWindow] = loss;
    ++count_;
    if (mean(rewards_) > best_ && count_ >= kWindow) best_ = mean(rewards_);
  }
  /// For a table of the whole run.
  bool append(const char* path, int episode) const {
    std::FILE* file = std::fopen(path, episode == 0 ? "w" : "a");
    if (file == nullptr) return false;
    if (episode == 0) std::fprintf(file, "episode,reward,loss,best\n");
    std::fprintf(file, "%d,%.4f,%.5f,%.4f\n", episode, mean(rewards_), mean(losses_), best_);
    std::fclose(file);
    return true;
  }

  void print(int episode) const {
    std::printf("episode %d reward %.3f loss %.4f best %.3f\n", episode, mean(rewards_),
                mean(losses_), best_);
  }

 private:
  static constexpr int kWindow = 50;
  float mean(const float* values) const {
    const int count = count_ < kWindow ? count_ : kWindow;
    float sum = 0;
    for (int i = 0; i < count; ++i) sum += values[i];
    return count > 0 ? sum / static_cast<float>(count) : 0;
  }

  float rewards_[kWindow] = {};
  float losses_[kWindow] = {};
  float best_ = -1e9f;
  int count_ = 0;
};

/// Rewards that come some turns later count for the turn itself.
class Horizon {
 public:
  Horizon(int turns, float discount) : turns_(turns), discount_(discount) {}

  void begin() { waiting_.clear(); }

  /// Gives to the replay buffer what has waited long enough; at the end of an episode everything.
  void add(const Experience& one, Replay& replay) {
    float share = 1;
    for (std::size_t i = waiting_.size(); i > 0; --i) {
      share *= discount_;
      Experience& earlier = waiting_[i - 1];
      earlier.reward += share * one.reward;
      earlier.ended = one.ended;
      std::memcpy(earlier.next, one.next, sizeof(one.next));
    }
    waiting_.push_back(one);
    const bool ended = one.ended > 0;
    while (!waiting_.empty() && (ended || static_cast<int>(waiting_.size()) >= turns_)) {
      replay.add(waiting_[0]);
      waiting_.erase(waiting_.begin());
    }
  }

 private:
  int turns_;
  float discount_;
  std::vector<Experience> waiting_;
};

/// How often the agent tries what it does not think best: less and less, more again when stuck.
class Curiosity {
 public:
  float chance() const { return chance_; }
  void after(float reward) {
    smooth_ = 0.95f * smooth_ + 0.05f * reward;
    if (smooth_ > best_ + 0.01f) {
      best_ = smooth_;
      stuck_ = 0;
    } else {
      ++stuck_;
    }
    chance_ *= 0.99f;
    if (chance_ < 0.05f) chance_ = 0.05f;
    if (stuck_ > 80) {
      chance_ = 0.3f;
      stuck_ = 0;
    }
  }

 private:
  float chance_ = 1;
  float smooth_ = -1;
  float best_ = -1;
  int stuck_ = 0;
};

/// How long episodes last, in bins of ten turns.
class Lengths {
 public:
  void add(int turns) {
    const int bin = turns / 10 < kBins ? turns / 10 : kBins - 1;
    ++bins_[bin];
    ++count_;
    sum_ += turns;
    if (turns < shortest_) shortest_ = turns;
  }

  void print() const {
    if (count_ == 0) return;
    std::printf("%d episodes, %.1f turns, shortest %d\n", count_,
                static_cast<float>(sum_) / static_cast<float>(count_), shortest_);
    for (int bin = 0; bin < kBins; ++bin) {
      std::printf("%4d ", bin * 10);
      for (int i = 0; i < 40 * bins_[bin] / count_; ++i) std::putchar('=');
      std::putchar('\n');
    }
  }

 private:
  static constexpr int kBins = 11;
  int bins_[kBins] = {};
  int count_ = 0;
  int sum_ = 0;
  int shortest_ = 1000000;
};

struct Settings {
  int episodes = 400;
  int horizon = 3;
  float rate = 5e-4f;
  float share = 0.01f;
  float spread = 0.05f;
  std::string file = "agent.bin";
};

/// Lines of the form "name value"; what it does not know it says.
static bool read_settings(const char* path, Settings& out) {
  std::FILE* file = std::fopen(path, "r");
  if (file == nullptr) return false;
  char name[64];
  char value[192];
  while (std::fscanf(file, "%63s %191s", name, value) == 2) {
    if (std::strcmp(name, "episodes") == 0) {
      out.episodes = std::atoi(value);
    } else if (std::strcmp(name, "horizon") == 0) {
      out.horizon = std::atoi(value);
    } else if (std::strcmp(name, "rate") == 0) {
      out.rate = static_cast<float>(std::atof(value));
    } else if (std::strcmp(name, "share") == 0) {
      out.share = static_cast<float>(std::atof(value));
    } else if (std::strcmp(name, "spread") == 0) {
      out.spread = static_cast<float>(std::atof(value));
    } else if (std::strcmp(name, "file") == 0) {
      out.file = value;
    } else {
      std::printf("no such setting: %s\n", name);
    }
  }
  std::fclose(file);
  return true;
}

static float evaluate(Agent& agent, int episodes) {
  float total = 0;
  for (int i = 0; i < episodes; ++i) {
    World world;
    world.reset(100000u + i);
    bool ended = false;
    while (!ended) total += world.act(agent.act(world, 0), ended);
  }
  return total / static_cast<float>(episodes);
}

static float play(Agent& agent, Replay& replay, Horizon& horizon, const Settings& settings,
                  unsigned seed, float chance, Lengths& lengths, float& loss) {
  World world;
  world.reset(seed);
  horizon.begin();
  float total = 0;
  int updates = 0;
  loss = 0;
  bool ended = false;
  int turn = 0;
  for (; !ended; ++turn) {
    Experience one;
    world.observe(one.state);
    const int action = agent.act(world, chance);
    one.reward = world.act(action, ended);
    world.observe(one.next);
    one.action = static_cast<float>(action);
    one.ended = ended ? 1.0f : 0.0f;
    one.priority = 1;
    horizon.add(one, replay);
    total += one.reward;
    if (replay.size() >= 500 && turn % 4 == 0) {
      loss += agent.learn(replay, settings.rate);
      agent.follow(settings.share);
      ++updates;
    }
  }
  lengths.add(turn);
  if (updates > 0) loss /= static_cast<float>(updates);
  return total;
}

int main(int argc, char** argv) {
  Settings settings;
  if (argc > 1 && !read_settings(argv[1], settings)) {
    std::printf("%s cannot be read\n", argv[1]);
    return 2;
  }
  Agent agent;
  Replay replay(20000);
  Horizon horizon(settings.horizon, 0.98f);
  Curiosity curiosity;
  Record record;
  Lengths lengths;
  if (agent.restore(settings.file.c_str())) std::printf("goes on from %s\n", settings.file.c_str());
  for (int episode = 0; episode < settings.episodes; ++episode) {
    float loss = 0;
    const unsigned seed = static_cast<unsigned>(episode);
    if (episode % 10 == 9) agent.shake(settings.spread);
    const float reward =
        play(agent, replay, horizon, settings, seed, curiosity.chance(), lengths, loss);
    record.add(reward, loss);
    curiosity.after(reward);
    if (episode % 20 == 0) record.print(episode);
    if (!record.append("agent.csv", episode)) std::printf("agent.csv cannot be written\n");
    if (episode % 100 == 99) {
      std::printf("greedy: %.3f\n", evaluate(agent, 10));
      World world;
      world.reset(seed);
      print_state(world);
      agent.explain(world);
      lengths.print();
      if (!agent.save(settings.file.c_str())) std::printf("could not save\n");
    }
  }
  return 0;
}
