// Three staging buffers in a ring, each filled again only after its command buffer has completed.
#include <Metal/Metal.hpp>
#include <cstdio>

constexpr int kSlots = 3;

class Uploader {
 public:
  explicit Uploader(MTL::Device* device) {
    queue_ = NS::TransferPtr(device->newCommandQueue());
    for (int i = 0; i < kSlots; ++i) {
      staging_[i] = device->newBuffer(256, MTL::ResourceStorageModeShared);
      used_by_[i] = nullptr;
    }
    sum_ = NS::TransferPtr(device->newBuffer(64, MTL::ResourceStorageModeShared));
  }

  void push(int value) {
    const int slot = next_++ % kSlots;
    if (used_by_[slot] != nullptr) used_by_[slot]->waitUntilCompleted();
    int* words = static_cast<int*>(staging_[slot]->contents());
    for (int i = 0; i < 64; ++i) words[i] = value + i;
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setBuffer(staging_[slot], 0, 0);
    enc->setBuffer(sum_.get(), 0, 1);
    enc->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
    enc->endEncoding();
    cb->commit();
    used_by_[slot] = cb;
  }

  float total() {
    MTL::CommandBuffer* cb = queue_->commandBuffer();
    MTL::BlitCommandEncoder* blit = cb->blitCommandEncoder();
    blit->copyFromBuffer(sum_.get(), 0, sum_.get(), 32, 16);
    blit->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();
    cb = queue_->commandBuffer();
    MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
    enc->setBuffer(sum_.get(), 0, 0);
    enc->dispatchThreads(MTL::Size(16, 1, 1), MTL::Size(16, 1, 1));
    enc->endEncoding();
    cb->commit();
    cb->waitUntilCompleted();
    const float* words = static_cast<const float*>(sum_->contents());
    float out = 0;
    for (int i = 0; i < 16; ++i) out += words[i];
    return out;
  }

 private:
  NS::SharedPtr<MTL::CommandQueue> queue_;
  NS::SharedPtr<MTL::Buffer> sum_;
  MTL::Buffer* staging_[kSlots];
  MTL::CommandBuffer* used_by_[kSlots];
  int next_ = 0;
};

int main() {
  Uploader uploader(MTL::CreateSystemDefaultDevice());
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 7; ++i) uploader.push(round * 100 + i);
    std::printf("%.6f\n", uploader.total());
  }
  return 0;
}
