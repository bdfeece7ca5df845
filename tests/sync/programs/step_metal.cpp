// A training step as it is first written: every pass waits, the loss is read, tokens are
// overwritten in the next step.
#include <Metal/Metal.hpp>
#include <cstdio>
#include <vector>

class Trainer {
 public:
  explicit Trainer(MTL::Device* device) : queue_(device->newCommandQueue()) {
    tokens_ = device->newBuffer(64 * sizeof(int), MTL::ResourceStorageModeShared);
    weights_ = device->newBuffer(256 * sizeof(float), MTL::ResourceStorageModeShared);
    activations_ = device->newBuffer(128 * sizeof(float), MTL::ResourceStorageModeShared);
    gradients_ = device->newBuffer(256 * sizeof(float), MTL::ResourceStorageModeShared);
    loss_ = device->newBuffer(sizeof(float), MTL::ResourceStorageModeShared);
    float* w = static_cast<float*>(weights_->contents());
    for (int i = 0; i < 256; ++i) w[i] = 0.01F * static_cast<float>(i);
  }

  float step(const std::vector<int>& batch) {
    std::memcpy(tokens_->contents(), batch.data(), batch.size() * sizeof(int));
    forward();
    backward();
    update();
    return static_cast<float*>(loss_->contents())[0];
  }

  float weight(int at) const { return static_cast<float*>(weights_->contents())[at]; }

 private:
  void forward() {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setBuffer(tokens_, 0, 0);
    enc->setBuffer(weights_, 0, 1);
    enc->setBuffer(activations_, 0, 2);
    enc->dispatchThreads(MTL::Size(128, 1, 1), MTL::Size(32, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();
    cb = queue_->commandBuffer();
    enc = cb->computeCommandEncoder();
    enc->setBuffer(activations_, 0, 0);
    enc->setBuffer(loss_, 0, 1);
    enc->dispatchThreads(MTL::Size(1, 1, 1), MTL::Size(1, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();
  }

  void backward() {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setBuffer(loss_, 0, 0);
    enc->setBuffer(activations_, 0, 1);
    enc->setBuffer(gradients_, 0, 2);
    enc->dispatchThreads(MTL::Size(256, 1, 1), MTL::Size(32, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();
  }

  void update() {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    float rate = 0.1F;
    enc->setBuffer(gradients_, 0, 0);
    enc->setBuffer(weights_, 0, 1);
    enc->setBytes(&rate, sizeof(rate), 2);
    enc->dispatchThreads(MTL::Size(256, 1, 1), MTL::Size(32, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();
  }

  MTL::CommandQueue* queue_;
  MTL::Buffer* tokens_;
  MTL::Buffer* weights_;
  MTL::Buffer* activations_;
  MTL::Buffer* gradients_;
  MTL::Buffer* loss_;
};

int main() {
  MTL::Device* device = MTL::CreateSystemDefaultDevice();
  Trainer trainer(device);
  std::vector<int> batch(64);
  for (int i = 0; i < 5; ++i) {
    for (int t = 0; t < 64; ++t) batch[t] = i * 64 + t;
    std::printf("%d %.6f\n", i, trainer.step(batch));
  }
  std::printf("%.6f\n", trainer.weight(17));
  return 0;
}
