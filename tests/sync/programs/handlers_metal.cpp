// Completion handlers keep statistics; some waits are there for them, others are not.
#include <Metal/Metal.hpp>
#include <cstdio>

struct Statistics {
  float last = 0;
  int finished = 0;
};

class Runner {
 public:
  explicit Runner(MTL::Device* device)
      : queue_(device->newCommandQueue()),
        state_(device->newBuffer(128, MTL::ResourceStorageModeShared)),
        loss_(device->newBuffer(16, MTL::ResourceStorageModeShared)) {}

  void advance(int times) {
    for (int i = 0; i < times; ++i) {
      MTL::CommandBuffer* cb = queue_->commandBuffer();
      encode(cb, state_, loss_);
      cb->commit();
      cb->waitUntilCompleted();
      MTL::CommandBuffer* second = queue_->commandBuffer();
      encode(second, loss_, state_);
      second->commit();
      second->waitUntilCompleted();
    }
  }

  void measured() {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    encode(cb, state_, loss_);
    cb->addCompletedHandler([this](MTL::CommandBuffer*) {
      statistics_.last = static_cast<float*>(loss_->contents())[0];
      ++statistics_.finished;
    });
    cb->commit();
    cb->waitUntilCompleted();
    report();
  }

  void report() const { std::printf("%d %.6f\n", statistics_.finished, statistics_.last); }

 private:
  void encode(MTL::CommandBuffer* cb, MTL::Buffer* from, MTL::Buffer* to) {
    auto* enc = cb->computeCommandEncoder();
    enc->setBuffer(from, 0, 0);
    enc->setBuffer(to, 0, 1);
    enc->dispatchThreads(MTL::Size(32, 1, 1), MTL::Size(32, 1, 1));
    enc->endEncoding();
  }

  MTL::CommandQueue* queue_;
  MTL::Buffer* state_;
  MTL::Buffer* loss_;
  Statistics statistics_;
};

int main() {
  Runner runner(MTL::CreateSystemDefaultDevice());
  for (int i = 0; i < 4; ++i) {
    runner.advance(3);
    runner.measured();
  }
  runner.report();
  return 0;
}
