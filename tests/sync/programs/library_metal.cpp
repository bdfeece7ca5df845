// Operations as a library would offer them, and a caller that strings them together.
#include <Metal/Metal.hpp>
#include <cstdio>
#include <cstring>
#include <functional>
#include <initializer_list>

struct Tensor {
  MTL::Buffer* storage = nullptr;
  int count = 0;
  float* host() const { return static_cast<float*>(storage->contents()); }
};

class Engine {
 public:
  Engine() : device_(MTL::CreateSystemDefaultDevice()), queue_(device_->newCommandQueue()) {}

  Tensor make(int count) {
    return {device_->newBuffer(count * sizeof(float), MTL::ResourceStorageModeShared), count};
  }

  void matmul(const Tensor& a, const Tensor& b, Tensor& out) { launch({a, b, out}, 1); }
  void add(const Tensor& a, Tensor& out) { launch({a, out}, 2); }
  void relu(Tensor& x) { launch({x}, 3); }

  float mean(const Tensor& x) {
    Tensor result = make(1);
    launch({x, result}, 4);
    const float value = result.host()[0];
    result.storage->release();
    return value;
  }

 private:
  void launch(std::initializer_list<Tensor> tensors, int kind) {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    NS::UInteger at = 0;
    for (const Tensor& tensor : tensors) enc->setBuffer(tensor.storage, 0, at++);
    enc->setBytes(&kind, sizeof(kind), 9);
    enc->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();
  }

  MTL::Device* device_;
  MTL::CommandQueue* queue_;
};

struct Layer {
  Tensor weight;
  Tensor bias;
  Tensor out;
};

int main() {
  Engine engine;
  Layer first{engine.make(64), engine.make(16), engine.make(16)};
  Layer second{engine.make(64), engine.make(16), engine.make(16)};
  Tensor input = engine.make(16);
  for (int i = 0; i < 64; ++i) first.weight.host()[i] = second.weight.host()[i] = 0.25F;
  for (int step = 0; step < 5; ++step) {
    for (int i = 0; i < input.count; ++i) input.host()[i] = static_cast<float>(i * step);
    engine.matmul(input, first.weight, first.out);
    engine.add(first.bias, first.out);
    engine.relu(first.out);
    engine.matmul(first.out, second.weight, second.out);
    engine.add(second.bias, second.out);
    std::printf("%.6f %.6f\n", engine.mean(second.out), second.out.host()[5]);
  }
  return 0;
}
