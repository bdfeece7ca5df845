// A small diffusion model in metal-cpp: noise is drawn on the host into a staging buffer, a
// U-shaped network guesses it, an average of the parameters draws pictures.
#include <Metal/Metal.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

const char* const kSource = R"MSL(
#include <metal_stdlib>
using namespace metal;

kernel void noiseImage(device const float* clean [[buffer(0)]],
                       device const float* noise [[buffer(1)]],
                       device const float* schedule [[buffer(2)]],
                       device float* out [[buffer(3)]],
                       constant uint& count [[buffer(4)]],
                       constant uint& per [[buffer(5)]],
                       uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float keep = schedule[i / per];
  out[i] = sqrt(keep) * clean[i] + sqrt(1 - keep) * noise[i];
}

kernel void embedTime(device const float* times [[buffer(0)]],
                      device float* out [[buffer(1)]],
                      constant uint& batch [[buffer(2)]],
                      constant uint& width [[buffer(3)]],
                      uint i [[thread_position_in_grid]]) {
  if (i >= batch * width) return;
  uint half_width = width / 2;
  float frequency = exp(-9.21f * float(i % half_width) / float(half_width));
  float angle = times[i / width] * frequency;
  out[i] = (i % width) < half_width ? sin(angle) : cos(angle);
}

kernel void convolve(device const float* x [[buffer(0)]],
                     device const float* filter [[buffer(1)]],
                     device const float* bias [[buffer(2)]],
                     device float* out [[buffer(3)]],
                     constant uint& side [[buffer(4)]],
                     constant uint& channelsIn [[buffer(5)]],
                     constant uint& channelsOut [[buffer(6)]],
                     constant uint& batch [[buffer(7)]],
                     uint i [[thread_position_in_grid]]) {
  uint pixel = i % (side * side);
  uint channel = (i / (side * side)) % channelsOut;
  uint image = i / (side * side * channelsOut);
  if (image >= batch) return;
  int row = int(pixel / side);
  int column = int(pixel % side);
  float sum = bias[channel];
  for (uint c = 0; c < channelsIn; ++c) {
    for (int dy = -1; dy <= 1; ++dy) {
      for (int dx = -1; dx <= 1; ++dx) {
        int y = row + dy;
        int z = column + dx;
        if (y < 0 || z < 0 || y >= int(side) || z >= int(side)) continue;
        sum += x[((image * channelsIn + c) * side + y) * side + z] * filter[((channel * channelsIn + c) * 3 + dy + 1) * 3 + dx + 1];
      }
    }
  }
  out[i] = sum;
}

kernel void groupNorm(device const float* x [[buffer(0)]],
                      device float* out [[buffer(1)]],
                      device float* stats [[buffer(2)]],
                      constant uint& groups [[buffer(3)]],
                      constant uint& size [[buffer(4)]],
                      uint i [[thread_position_in_grid]]) {
  if (i >= groups) return;
  float mean = 0;
  float square = 0;
  for (uint k = 0; k < size; ++k) mean += x[i * size + k];
  mean /= size;
  for (uint k = 0; k < size; ++k) square += (x[i * size + k] - mean) * (x[i * size + k] - mean);
  float inverse = rsqrt(square / size + 1e-5f);
  stats[2 * i] = mean;
  stats[2 * i + 1] = inverse;
  for (uint k = 0; k < size; ++k) out[i * size + k] = (x[i * size + k] - mean) * inverse;
}

kernel void swish(device const float* x [[buffer(0)]],
                  device float* out [[buffer(1)]],
                  constant uint& count [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) {
  if (i < count) out[i] = x[i] / (1 + exp(-x[i]));
}

kernel void addTime(device const float* embedding [[buffer(0)]],
                    device const float* weight [[buffer(1)]],
                    device float* x [[buffer(2)]],
                    constant uint& count [[buffer(3)]],
                    constant uint& width [[buffer(4)]],
                    constant uint& plane [[buffer(5)]],
                    uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float sum = 0;
  for (uint k = 0; k < width; ++k) sum += embedding[k] * weight[(i / plane) % 16 * width + k];
  x[i] += sum;
}

kernel void shrink(device const float* x [[buffer(0)]],
                   device float* out [[buffer(1)]],
                   constant uint& count [[buffer(2)]],
                   constant uint& side [[buffer(3)]],
                   uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  uint half_side = side / 2;
  uint at = (i / half_side) * 2 * side + (i % half_side) * 2;
  out[i] = 0.25f * (x[at] + x[at + 1] + x[at + side] + x[at + side + 1]);
}

kernel void enlarge(device const float* x [[buffer(0)]],
                    device const float* skip [[buffer(1)]],
                    device float* out [[buffer(2)]],
                    constant uint& count [[buffer(3)]],
                    constant uint& side [[buffer(4)]],
                    uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  uint at = (i / side / 2) * (side / 2) + (i % side) / 2;
  out[i] = x[at] + skip[i];
}

kernel void squareError(device const float* guess [[buffer(0)]],
                        device const float* noise [[buffer(1)]],
                        device float* error [[buffer(2)]],
                        device float* grad [[buffer(3)]],
                        constant uint& count [[buffer(4)]],
                        uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float d = guess[i] - noise[i];
  grad[i] = 2 * d / count;
  error[i] = d * d / count;
}

kernel void reduceSum(device const float* values [[buffer(0)]],
                      device float* out [[buffer(1)]],
                      constant uint& count [[buffer(2)]],
                      uint i [[thread_position_in_grid]]) {
  if (i != 0) return;
  float sum = 0;
  for (uint k = 0; k < count; ++k) sum += values[k];
  out[0] = sum;
}

kernel void convolveBackInput(device const float* grad [[buffer(0)]],
                              device const float* filter [[buffer(1)]],
                              device float* out [[buffer(2)]],
                              constant uint& side [[buffer(3)]],
                              constant uint& channelsIn [[buffer(4)]],
                              constant uint& channelsOut [[buffer(5)]],
                              constant uint& batch [[buffer(6)]],
                              uint i [[thread_position_in_grid]]) {
  uint pixel = i % (side * side);
  uint channel = (i / (side * side)) % channelsIn;
  uint image = i / (side * side * channelsIn);
  if (image >= batch) return;
  float sum = 0;
  for (uint c = 0; c < channelsOut; ++c) {
    sum += grad[(image * channelsOut + c) * side * side + pixel] * filter[(c * channelsIn + channel) * 9 + 4];
  }
  out[i] = sum;
}

kernel void convolveBackFilter(device const float* grad [[buffer(0)]],
                               device const float* x [[buffer(1)]],
                               device float* out [[buffer(2)]],
                               device float* outBias [[buffer(3)]],
                               constant uint& side [[buffer(4)]],
                               constant uint& channelsIn [[buffer(5)]],
                               constant uint& channelsOut [[buffer(6)]],
                               constant uint& batch [[buffer(7)]],
                               uint i [[thread_position_in_grid]]) {
  if (i >= channelsIn * channelsOut * 9) return;
  uint tap = i % 9;
  uint in = (i / 9) % channelsIn;
  uint to = i / 9 / channelsIn;
  float sum = 0;
  for (uint image = 0; image < batch; ++image) {
    for (uint p = 0; p + 2 * side + 2 < side * side; ++p) {
      sum += grad[(image * channelsOut + to) * side * side + p] * x[(image * channelsIn + in) * side * side + p + (tap / 3) * side + tap % 3];
    }
  }
  out[i] += sum;
  if (tap == 4 && in == 0) outBias[to] += sum;
}

kernel void swishBack(device const float* x [[buffer(0)]],
                      device float* grad [[buffer(1)]],
                      constant uint& count [[buffer(2)]],
                      uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float s = 1 / (1 + exp(-x[i]));
  grad[i] *= s + x[i] * s * (1 - s);
}

kernel void groupNormBack(device const float* x [[buffer(0)]],
                          device const float* stats [[buffer(1)]],
                          device float* grad [[buffer(2)]],
                          constant uint& groups [[buffer(3)]],
                          constant uint& size [[buffer(4)]],
                          uint i [[thread_position_in_grid]]) {
  if (i >= groups) return;
  float first = 0;
  float second = 0;
  for (uint k = 0; k < size; ++k) {
    first += grad[i * size + k];
    second += grad[i * size + k] * (x[i * size + k] - stats[2 * i]) * stats[2 * i + 1];
  }
  for (uint k = 0; k < size; ++k) {
    float normal = (x[i * size + k] - stats[2 * i]) * stats[2 * i + 1];
    grad[i * size + k] = stats[2 * i + 1] * (grad[i * size + k] - (first + normal * second) / size);
  }
}

kernel void shrinkBack(device const float* grad [[buffer(0)]],
                       device float* out [[buffer(1)]],
                       constant uint& count [[buffer(2)]],
                       constant uint& side [[buffer(3)]],
                       uint i [[thread_position_in_grid]]) {
  if (i < count) out[i] += 0.25f * grad[(i / side / 2) * (side / 2) + (i % side) / 2];
}

kernel void adam(device float* param [[buffer(0)]],
                 device float* grad [[buffer(1)]],
                 device float* first [[buffer(2)]],
                 device float* second [[buffer(3)]],
                 constant uint& count [[buffer(4)]],
                 constant float& rate [[buffer(5)]],
                 constant uint& step [[buffer(6)]],
                 uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  first[i] = 0.9f * first[i] + 0.1f * grad[i];
  second[i] = 0.999f * second[i] + 0.001f * grad[i] * grad[i];
  float m = first[i] / (1 - pow(0.9f, float(step)));
  float v = second[i] / (1 - pow(0.999f, float(step)));
  param[i] -= rate * m / (sqrt(v) + 1e-8f);
  grad[i] = 0;
}

kernel void follow(device const float* param [[buffer(0)]],
                   device float* shadow [[buffer(1)]],
                   constant uint& count [[buffer(2)]],
                   constant float& keep [[buffer(3)]],
                   uint i [[thread_position_in_grid]]) {
  if (i < count) shadow[i] = keep * shadow[i] + (1 - keep) * param[i];
}

kernel void denoise(device const float* guess [[buffer(0)]],
                    device const float* noise [[buffer(1)]],
                    device float* image [[buffer(2)]],
                    constant uint& count [[buffer(3)]],
                    constant float& keep [[buffer(4)]],
                    constant float& before [[buffer(5)]],
                    uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float clean = (image[i] - sqrt(1 - keep) * guess[i]) / sqrt(keep);
  clean = clamp(clean, -1.0f, 1.0f);
  image[i] = sqrt(before) * clean + sqrt(1 - before) * noise[i];
}

kernel void clampImage(device float* image [[buffer(0)]],
                       constant uint& count [[buffer(1)]],
                       uint i [[thread_position_in_grid]]) {
  if (i < count) image[i] = clamp(image[i], -1.0f, 1.0f);
}

kernel void averageImages(device const float* images [[buffer(0)]],
                          device float* out [[buffer(1)]],
                          constant uint& count [[buffer(2)]],
                          constant uint& batch [[buffer(3)]],
                          uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float sum = 0;
  for (uint b = 0; b < batch; ++b) sum += images[b * count + i];
  out[i] = sum / batch;
}
)MSL";

enum Kernel {
  kNoiseImage,
  kEmbedTime,
  kConvolve,
  kGroupNorm,
  kSwish,
  kAddTime,
  kShrink,
  kEnlarge,
  kSquareError,
  kReduceSum,
  kConvolveBackInput,
  kConvolveBackFilter,
  kSwishBack,
  kGroupNormBack,
  kShrinkBack,
  kAdam,
  kFollow,
  kDenoise,
  kClampImage,
  kAverageImages,
  kKernels
};
const char* const kNames[kKernels] = {"noiseImage",
                                      "embedTime",
                                      "convolve",
                                      "groupNorm",
                                      "swish",
                                      "addTime",
                                      "shrink",
                                      "enlarge",
                                      "squareError",
                                      "reduceSum",
                                      "convolveBackInput",
                                      "convolveBackFilter",
                                      "swishBack",
                                      "groupNormBack",
                                      "shrinkBack",
                                      "adam",
                                      "follow",
                                      "denoise",
                                      "clampImage",
                                      "averageImages"};

constexpr uint32_t kSide = 16;
constexpr uint32_t kChannels = 16;
constexpr uint32_t kBatch = 8;
constexpr uint32_t kTime = 32;
constexpr int kLevels = 100;

/// How much of the picture is left at each level of noise.
class Schedule {
 public:
  Schedule() {
    float product = 1;
    for (int level = 0; level < kLevels; ++level) {
      const float beta = 1e-3f + 0.05f * static_cast<float>(level) / kLevels;
      product *= 1 - beta;
      kept_[level] = product;
    }
  }
  float kept(int level) const { return level < 0 ? 1.0f : kept_[level]; }

 private:
  float kept_[kLevels];
};

class Noise {
 public:
  float uniform() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(state_ >> 40) / 16777216.0f;
  }
  float normal() {
    const float radius = std::sqrt(-2 * std::log(uniform() + 1e-7f));
    return radius * std::cos(6.2831853f * uniform());
  }

 private:
  uint64_t state_ = 1;
};

/// The operations, each in a command buffer of its own.
class Engine {
 public:
  Engine() {
    device_ = MTL::CreateSystemDefaultDevice();
    queue_ = device_->newCommandQueue();
    NS::Error* error = nullptr;
    const NS::String* source = NS::String::string(kSource, NS::UTF8StringEncoding);
    MTL::Library* library = device_->newLibrary(source, nullptr, &error);
    for (int i = 0; i < kKernels; ++i) {
      MTL::Function* function =
          library->newFunction(NS::String::string(kNames[i], NS::UTF8StringEncoding));
      states_[i] = device_->newComputePipelineState(function, &error);
    }
  }

  MTL::Buffer* floats(std::size_t count) {
    MTL::Buffer* made = device_->newBuffer(count * sizeof(float), MTL::ResourceStorageModeShared);
    std::memset(made->contents(), 0, count * sizeof(float));
    return made;
  }

  void noiseImage(MTL::Buffer* clean, MTL::Buffer* noise, MTL::Buffer* schedule, MTL::Buffer* out,
                  uint32_t count, uint32_t per) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kNoiseImage]);
    enc->setBuffer(clean, 0, 0);
    enc->setBuffer(noise, 0, 1);
    enc->setBuffer(schedule, 0, 2);
    enc->setBuffer(out, 0, 3);
    enc->setBytes(&count, sizeof(count), 4);
    enc->setBytes(&per, sizeof(per), 5);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void embedTime(MTL::Buffer* times, MTL::Buffer* out, uint32_t batch, uint32_t width) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kEmbedTime]);
    enc->setBuffer(times, 0, 0);
    enc->setBuffer(out, 0, 1);
    enc->setBytes(&batch, sizeof(batch), 2);
    enc->setBytes(&width, sizeof(width), 3);
    enc->dispatchThreads(MTL::Size(batch * width, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void convolve(MTL::Buffer* x, MTL::Buffer* filter, MTL::Buffer* bias, MTL::Buffer* out,
                uint32_t side, uint32_t channelsIn, uint32_t channelsOut, uint32_t batch) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kConvolve]);
    enc->setBuffer(x, 0, 0);
    enc->setBuffer(filter, 0, 1);
    enc->setBuffer(bias, 0, 2);
    enc->setBuffer(out, 0, 3);
    enc->setBytes(&side, sizeof(side), 4);
    enc->setBytes(&channelsIn, sizeof(channelsIn), 5);
    enc->setBytes(&channelsOut, sizeof(channelsOut), 6);
    enc->setBytes(&batch, sizeof(batch), 7);
    enc->dispatchThreads(MTL::Size(batch * channelsOut * side * side, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void groupNorm(MTL::Buffer* x, MTL::Buffer* out, MTL::Buffer* stats, uint32_t groups,
                 uint32_t size) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kGroupNorm]);
    enc->setBuffer(x, 0, 0);
    enc->setBuffer(out, 0, 1);
    enc->setBuffer(stats, 0, 2);
    enc->setBytes(&groups, sizeof(groups), 3);
    enc->setBytes(&size, sizeof(size), 4);
    enc->dispatchThreads(MTL::Size(groups, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void swish(MTL::Buffer* x, MTL::Buffer* out, uint32_t count) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kSwish]);
    enc->setBuffer(x, 0, 0);
    enc->setBuffer(out, 0, 1);
    enc->setBytes(&count, sizeof(count), 2);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void addTime(MTL::Buffer* embedding, MTL::Buffer* weight, MTL::Buffer* x, uint32_t count,
               uint32_t width, uint32_t plane) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kAddTime]);
    enc->setBuffer(embedding, 0, 0);
    enc->setBuffer(weight, 0, 1);
    enc->setBuffer(x, 0, 2);
    enc->setBytes(&count, sizeof(count), 3);
    enc->setBytes(&width, sizeof(width), 4);
    enc->setBytes(&plane, sizeof(plane), 5);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void shrink(MTL::Buffer* x, MTL::Buffer* out, uint32_t count, uint32_t side) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kShrink]);
    enc->setBuffer(x, 0, 0);
    enc->setBuffer(out, 0, 1);
    enc->setBytes(&count, sizeof(count), 2);
    enc->setBytes(&side, sizeof(side), 3);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void enlarge(MTL::Buffer* x, MTL::Buffer* skip, MTL::Buffer* out, uint32_t count, uint32_t side) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kEnlarge]);
    enc->setBuffer(x, 0, 0);
    enc->setBuffer(skip, 0, 1);
    enc->setBuffer(out, 0, 2);
    enc->setBytes(&count, sizeof(count), 3);
    enc->setBytes(&side, sizeof(side), 4);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void squareError(MTL::Buffer* guess, MTL::Buffer* noise, MTL::Buffer* error, MTL::Buffer* grad,
                   uint32_t count) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kSquareError]);
    enc->setBuffer(guess, 0, 0);
    enc->setBuffer(noise, 0, 1);
    enc->setBuffer(error, 0, 2);
    enc->setBuffer(grad, 0, 3);
    enc->setBytes(&count, sizeof(count), 4);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void reduceSum(MTL::Buffer* values, MTL::Buffer* out, uint32_t count) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kReduceSum]);
    enc->setBuffer(values, 0, 0);
    enc->setBuffer(out, 0, 1);
    enc->setBytes(&count, sizeof(count), 2);
    enc->dispatchThreads(MTL::Size(1, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: required reads sum
  }

  void convolveBackInput(MTL::Buffer* grad, MTL::Buffer* filter, MTL::Buffer* out, uint32_t side,
                         uint32_t channelsIn, uint32_t channelsOut, uint32_t batch) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kConvolveBackInput]);
    enc->setBuffer(grad, 0, 0);
    enc->setBuffer(filter, 0, 1);
    enc->setBuffer(out, 0, 2);
    enc->setBytes(&side, sizeof(side), 3);
    enc->setBytes(&channelsIn, sizeof(channelsIn), 4);
    enc->setBytes(&channelsOut, sizeof(channelsOut), 5);
    enc->setBytes(&batch, sizeof(batch), 6);
    enc->dispatchThreads(MTL::Size(batch * channelsIn * side * side, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void convolveBackFilter(MTL::Buffer* grad, MTL::Buffer* x, MTL::Buffer* out, MTL::Buffer* outBias,
                          uint32_t side, uint32_t channelsIn, uint32_t channelsOut,
                          uint32_t batch) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kConvolveBackFilter]);
    enc->setBuffer(grad, 0, 0);
    enc->setBuffer(x, 0, 1);
    enc->setBuffer(out, 0, 2);
    enc->setBuffer(outBias, 0, 3);
    enc->setBytes(&side, sizeof(side), 4);
    enc->setBytes(&channelsIn, sizeof(channelsIn), 5);
    enc->setBytes(&channelsOut, sizeof(channelsOut), 6);
    enc->setBytes(&batch, sizeof(batch), 7);
    enc->dispatchThreads(MTL::Size(channelsIn * channelsOut * 9, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void swishBack(MTL::Buffer* x, MTL::Buffer* grad, uint32_t count) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kSwishBack]);
    enc->setBuffer(x, 0, 0);
    enc->setBuffer(grad, 0, 1);
    enc->setBytes(&count, sizeof(count), 2);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void groupNormBack(MTL::Buffer* x, MTL::Buffer* stats, MTL::Buffer* grad, uint32_t groups,
                     uint32_t size) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kGroupNormBack]);
    enc->setBuffer(x, 0, 0);
    enc->setBuffer(stats, 0, 1);
    enc->setBuffer(grad, 0, 2);
    enc->setBytes(&groups, sizeof(groups), 3);
    enc->setBytes(&size, sizeof(size), 4);
    enc->dispatchThreads(MTL::Size(groups, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void shrinkBack(MTL::Buffer* grad, MTL::Buffer* out, uint32_t count, uint32_t side) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kShrinkBack]);
    enc->setBuffer(grad, 0, 0);
    enc->setBuffer(out, 0, 1);
    enc->setBytes(&count, sizeof(count), 2);
    enc->setBytes(&side, sizeof(side), 3);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void adam(MTL::Buffer* param, MTL::Buffer* grad, MTL::Buffer* first, MTL::Buffer* second,
            uint32_t count, float rate, uint32_t step) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kAdam]);
    enc->setBuffer(param, 0, 0);
    enc->setBuffer(grad, 0, 1);
    enc->setBuffer(first, 0, 2);
    enc->setBuffer(second, 0, 3);
    enc->setBytes(&count, sizeof(count), 4);
    enc->setBytes(&rate, sizeof(rate), 5);
    enc->setBytes(&step, sizeof(step), 6);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void follow(MTL::Buffer* param, MTL::Buffer* shadow, uint32_t count, float keep) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kFollow]);
    enc->setBuffer(param, 0, 0);
    enc->setBuffer(shadow, 0, 1);
    enc->setBytes(&count, sizeof(count), 2);
    enc->setBytes(&keep, sizeof(keep), 3);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: required reads shadow
  }

  void denoise(MTL::Buffer* guess, MTL::Buffer* noise, MTL::Buffer* image, uint32_t count,
               float keep, float before) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kDenoise]);
    enc->setBuffer(guess, 0, 0);
    enc->setBuffer(noise, 0, 1);
    enc->setBuffer(image, 0, 2);
    enc->setBytes(&count, sizeof(count), 3);
    enc->setBytes(&keep, sizeof(keep), 4);
    enc->setBytes(&before, sizeof(before), 5);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void clampImage(MTL::Buffer* image, uint32_t count) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kClampImage]);
    enc->setBuffer(image, 0, 0);
    enc->setBytes(&count, sizeof(count), 1);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

  void averageImages(MTL::Buffer* images, MTL::Buffer* out, uint32_t count, uint32_t batch) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setComputePipelineState(states_[kAverageImages]);
    enc->setBuffer(images, 0, 0);
    enc->setBuffer(out, 0, 1);
    enc->setBytes(&count, sizeof(count), 2);
    enc->setBytes(&batch, sizeof(batch), 3);
    enc->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: required reads mean
  }

  /// Both in one command buffer: nothing on the host comes between them.
  void copyThenClear(MTL::Buffer* from, MTL::Buffer* to, MTL::Buffer* clear, NS::UInteger bytes) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::BlitCommandEncoder* blit = cb->blitCommandEncoder();
    blit->copyFromBuffer(from, 0, to, 0, bytes);
    blit->fillBuffer(clear, NS::Range::Make(0, bytes), 0);
    blit->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();  // expect: redundant
  }

 private:
  MTL::Device* device_;
  MTL::CommandQueue* queue_;
  MTL::ComputePipelineState* states_[kKernels];
};

/// A parameter with everything that its optimiser keeps.
struct Parameter {
  MTL::Buffer* value = nullptr;
  MTL::Buffer* grad = nullptr;
  MTL::Buffer* first = nullptr;
  MTL::Buffer* second = nullptr;
  MTL::Buffer* shadow = nullptr;
  uint32_t count = 0;
};

Parameter makeParameter(Engine& engine, Noise& noise, uint32_t count, float spread) {
  Parameter p;
  p.count = count;
  p.value = engine.floats(count);
  p.grad = engine.floats(count);
  p.first = engine.floats(count);
  p.second = engine.floats(count);
  p.shadow = engine.floats(count);
  float* value = static_cast<float*>(p.value->contents());
  for (uint32_t i = 0; i < count; ++i) value[i] = spread * noise.normal();
  std::memcpy(p.shadow->contents(), value, count * sizeof(float));
  return p;
}

/// Pictures of discs and bars, made up as they are asked for.
class Pictures {
 public:
  void draw(float* out, int kind) {
    const float x = 4 + 8 * noise_.uniform();
    const float y = 4 + 8 * noise_.uniform();
    for (uint32_t row = 0; row < kSide; ++row) {
      for (uint32_t column = 0; column < kSide; ++column) {
        const float dx = static_cast<float>(column) - x;
        const float dy = static_cast<float>(row) - y;
        const bool inside = kind % 2 == 0 ? dx * dx + dy * dy < 9 : std::fabs(dx) < 2;
        out[row * kSide + column] = inside ? 1.0f : -1.0f;
      }
    }
  }

 private:
  Noise noise_;
};

class Diffusion {
 public:
  explicit Diffusion(Engine& engine) : engine_(engine) {
    const uint32_t plane = kSide * kSide;
    clean_ = engine.floats(kBatch * plane);
    noise_ = engine.floats(kBatch * plane);
    kept_ = engine.floats(kBatch);
    times_ = engine.floats(kBatch);
    noisy_ = engine.floats(kBatch * plane);
    embedding_ = engine.floats(kBatch * kTime);
    wide_ = engine.floats(kBatch * kChannels * plane);
    wideNormed_ = engine.floats(kBatch * kChannels * plane);
    wideStats_ = engine.floats(2 * kBatch * kChannels);
    wideActive_ = engine.floats(kBatch * kChannels * plane);
    small_ = engine.floats(kBatch * kChannels * plane / 4);
    smallOut_ = engine.floats(kBatch * kChannels * plane / 4);
    smallActive_ = engine.floats(kBatch * kChannels * plane / 4);
    joined_ = engine.floats(kBatch * kChannels * plane);
    guess_ = engine.floats(kBatch * plane);
    error_ = engine.floats(kBatch * plane);
    sum_ = engine.floats(1);
    gradGuess_ = engine.floats(kBatch * plane);
    gradJoined_ = engine.floats(kBatch * kChannels * plane);
    gradSmall_ = engine.floats(kBatch * kChannels * plane / 4);
    gradSmallIn_ = engine.floats(kBatch * kChannels * plane / 4);
    mean_ = engine.floats(plane);
    enter_ = makeParameter(engine, random_, kChannels * 9, 0.2f);
    enterBias_ = makeParameter(engine, random_, kChannels, 0);
    middle_ = makeParameter(engine, random_, kChannels * kChannels * 9, 0.05f);
    middleBias_ = makeParameter(engine, random_, kChannels, 0);
    leave_ = makeParameter(engine, random_, kChannels * 9, 0.05f);
    leaveBias_ = makeParameter(engine, random_, 1, 0);
    timeWeight_ = makeParameter(engine, random_, kChannels * kTime, 0.05f);
  }

  float step(Pictures& pictures, int number, float rate) {
    fill(pictures, number);
    forward(false);
    const uint32_t count = kBatch * kSide * kSide;
    engine_.squareError(guess_, noise_, error_, gradGuess_, count);
    engine_.reduceSum(error_, sum_, count);
    const float loss = static_cast<const float*>(sum_->contents())[0];
    backward();
    const auto index = static_cast<uint32_t>(number + 1);
    update(enter_, rate, index);
    update(enterBias_, rate, index);
    update(middle_, rate, index);
    update(middleBias_, rate, index);
    update(leave_, rate, index);
    update(leaveBias_, rate, index);
    update(timeWeight_, rate, index);
    return loss;
  }

  /// From noise to pictures with the averaged parameters; the host draws fresh noise for each
  /// level.
  void sample(std::vector<float>& out) {
    const uint32_t count = kBatch * kSide * kSide;
    float* image = static_cast<float*>(noisy_->contents());
    for (uint32_t i = 0; i < count; ++i) image[i] = random_.normal();
    for (int level = kLevels - 1; level >= 0; --level) {
      float* fresh = static_cast<float*>(noise_->contents());
      for (uint32_t i = 0; i < count; ++i) fresh[i] = level > 0 ? random_.normal() : 0;
      float* times = static_cast<float*>(times_->contents());
      for (uint32_t b = 0; b < kBatch; ++b) times[b] = static_cast<float>(level);
      forward(true);
      engine_.denoise(guess_, noise_, noisy_, count, schedule_.kept(level),
                      schedule_.kept(level - 1));
      engine_.clampImage(noisy_, count);
      engine_.averageImages(noisy_, mean_, kSide * kSide, kBatch);
    }
    const float* mean = static_cast<const float*>(mean_->contents());
    out.assign(mean, mean + kSide * kSide);
  }

  float held(Pictures& pictures, int batches) {
    float total = 0;
    for (int i = 0; i < batches; ++i) {
      fill(pictures, 1000 + i);
      forward(true);
      const uint32_t count = kBatch * kSide * kSide;
      engine_.squareError(guess_, noise_, error_, gradGuess_, count);
      engine_.reduceSum(error_, sum_, count);
      total += static_cast<const float*>(sum_->contents())[0];
    }
    return total / static_cast<float>(batches);
  }

  bool save(const char* path) const {
    std::FILE* file = std::fopen(path, "wb");
    if (file == nullptr) return false;
    write(file, enter_);
    write(file, enterBias_);
    write(file, middle_);
    write(file, middleBias_);
    write(file, leave_);
    write(file, leaveBias_);
    write(file, timeWeight_);
    std::fclose(file);
    return true;
  }

 private:
  static void write(std::FILE* file, const Parameter& p) {
    std::fwrite(p.shadow->contents(), sizeof(float), p.count, file);
  }

  void fill(Pictures& pictures, int number) {
    const uint32_t plane = kSide * kSide;
    float* clean = static_cast<float*>(clean_->contents());
    float* noise = static_cast<float*>(noise_->contents());
    float* kept = static_cast<float*>(kept_->contents());
    float* times = static_cast<float*>(times_->contents());
    for (uint32_t b = 0; b < kBatch; ++b) {
      pictures.draw(clean + b * plane, number + static_cast<int>(b));
      for (uint32_t i = 0; i < plane; ++i) noise[b * plane + i] = random_.normal();
      const int level = static_cast<int>(random_.uniform() * kLevels) % kLevels;
      kept[b] = schedule_.kept(level);
      times[b] = static_cast<float>(level);
    }
    engine_.noiseImage(clean_, noise_, kept_, noisy_, kBatch * plane, plane);
  }

  void forward(bool averaged) {
    const uint32_t plane = kSide * kSide;
    const uint32_t wide = kBatch * kChannels * plane;
    engine_.embedTime(times_, embedding_, kBatch, kTime);
    engine_.convolve(noisy_, averaged ? enter_.shadow : enter_.value,
                     averaged ? enterBias_.shadow : enterBias_.value, wide_, kSide, 1, kChannels,
                     kBatch);
    engine_.addTime(embedding_, averaged ? timeWeight_.shadow : timeWeight_.value, wide_, wide,
                    kTime, plane);
    engine_.groupNorm(wide_, wideNormed_, wideStats_, kBatch * kChannels, plane);
    engine_.swish(wideNormed_, wideActive_, wide);
    engine_.shrink(wideActive_, small_, wide / 4, kSide);
    engine_.convolve(small_, averaged ? middle_.shadow : middle_.value,
                     averaged ? middleBias_.shadow : middleBias_.value, smallOut_, kSide / 2,
                     kChannels, kChannels, kBatch);
    engine_.swish(smallOut_, smallActive_, wide / 4);
    engine_.enlarge(smallActive_, wideActive_, joined_, wide, kSide);
    engine_.convolve(joined_, averaged ? leave_.shadow : leave_.value,
                     averaged ? leaveBias_.shadow : leaveBias_.value, guess_, kSide, kChannels, 1,
                     kBatch);
  }

  void backward() {
    const uint32_t plane = kSide * kSide;
    const uint32_t wide = kBatch * kChannels * plane;
    engine_.convolveBackInput(gradGuess_, leave_.value, gradJoined_, kSide, kChannels, 1, kBatch);
    engine_.convolveBackFilter(gradGuess_, joined_, leave_.grad, leaveBias_.grad, kSide, kChannels,
                               1, kBatch);
    engine_.shrink(gradJoined_, gradSmall_, wide / 4, kSide);
    engine_.swishBack(smallOut_, gradSmall_, wide / 4);
    engine_.convolveBackInput(gradSmall_, middle_.value, gradSmallIn_, kSide / 2, kChannels,
                              kChannels, kBatch);
    engine_.convolveBackFilter(gradSmall_, small_, middle_.grad, middleBias_.grad, kSide / 2,
                               kChannels, kChannels, kBatch);
    engine_.shrinkBack(gradSmallIn_, gradJoined_, wide, kSide);
    engine_.swishBack(wideNormed_, gradJoined_, wide);
    engine_.groupNormBack(wide_, wideStats_, gradJoined_, kBatch * kChannels, plane);
    engine_.convolveBackFilter(gradJoined_, noisy_, enter_.grad, enterBias_.grad, kSide, 1,
                               kChannels, kBatch);
    engine_.copyThenClear(gradGuess_, error_, gradGuess_, kBatch * plane * sizeof(float));
  }

  void update(Parameter& p, float rate, uint32_t number) {
    engine_.adam(p.value, p.grad, p.first, p.second, p.count, rate, number);
    engine_.follow(p.value, p.shadow, p.count, 0.995f);
  }

  Engine& engine_;
  Schedule schedule_;
  Noise random_;
  MTL::Buffer* clean_;
  MTL::Buffer* noise_;
  MTL::Buffer* kept_;
  MTL::Buffer* times_;
  MTL::Buffer* noisy_;
  MTL::Buffer* embedding_;
  MTL::Buffer* wide_;
  MTL::Buffer* wideNormed_;
  MTL::Buffer* wideStats_;
  MTL::Buffer* wideActive_;
  MTL::Buffer* small_;
  MTL::Buffer* smallOut_;
  MTL::Buffer* smallActive_;
  MTL::Buffer* joined_;
  MTL::Buffer* guess_;
  MTL::Buffer* error_;
  MTL::Buffer* sum_;
  MTL::Buffer* gradGuess_;
  MTL::Buffer* gradJoined_;
  MTL::Buffer* gradSmall_;
  MTL::Buffer* gradSmallIn_;
  MTL::Buffer* mean_;
  Parameter enter_;
  Parameter enterBias_;
  Parameter middle_;
  Parameter middleBias_;
  Parameter leave_;
  Parameter leaveBias_;
  Parameter timeWeight_;
};

/// A picture in letters.
void show(const std::vector<float>& picture) {
  const char* shades = " .:-=+*#";
  for (uint32_t row = 0; row < kSide; row += 2) {
    for (uint32_t column = 0; column < kSide; ++column) {
      int shade = static_cast<int>((picture[row * kSide + column] + 1) * 4);
      shade = shade < 0 ? 0 : shade > 7 ? 7 : shade;
      std::putchar(shades[shade]);
    }
    std::putchar('\n');
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 500;
  Engine engine;
  Diffusion model(engine);
  Pictures pictures;
  std::vector<float> picture;
  float smooth = 0;
  for (int step = 0; step < steps; ++step) {
    const float rate = step < 50 ? 1e-3f * static_cast<float>(step + 1) / 50 : 1e-3f;
    const float loss = model.step(pictures, step, rate);
    smooth = step == 0 ? loss : 0.98f * smooth + 0.02f * loss;
    if (step % 50 == 0) std::printf("step %d loss %.4f (%.4f)\n", step, loss, smooth);
    if (step % 200 == 199) {
      std::printf("held out %.4f\n", model.held(pictures, 4));
      model.sample(picture);
      show(picture);
      if (!model.save("diffusion.bin")) std::printf("could not save\n");
    }
  }
  return 0;
}
