// Four waits.
#include <Metal/Metal.hpp>

struct Net {
  NS::SharedPtr<MTL::CommandQueue> queue;
  MTL::Buffer* a;
  MTL::Buffer* b;
  NS::SharedPtr<MTL::Buffer> c;
  MTL::Buffer* loss;
  float run(int n);
};

float Net::run(int n) {
  float total = 0;
  MTL::CommandBuffer* cb1 = queue->commandBuffer();
  auto* enc2 = cb1->computeCommandEncoder();
  enc2->setBuffer(a, 0, 0);
  enc2->setBuffer(b, 0, 1);
  enc2->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
  enc2->endEncoding();
  cb1->commit();
  cb1->waitUntilCompleted();  // expect: redundant
  MTL::CommandBuffer* cb3 = queue->commandBuffer();
  auto* enc4 = cb3->computeCommandEncoder();
  enc4->setBuffer(b, 0, 0);
  enc4->setBuffer(c.get(), 0, 1);
  enc4->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
  enc4->endEncoding();
  cb3->commit();
  cb3->waitUntilCompleted();  // expect: redundant
  MTL::CommandBuffer* cb5 = queue->commandBuffer();
  auto* enc6 = cb5->computeCommandEncoder();
  enc6->setBuffer(c.get(), 0, 0);
  enc6->setBuffer(a, 0, 1);
  enc6->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
  enc6->endEncoding();
  cb5->commit();
  cb5->waitUntilCompleted();  // expect: redundant
  MTL::CommandBuffer* cb7 = queue->commandBuffer();
  auto* enc8 = cb7->computeCommandEncoder();
  enc8->setBuffer(a, 0, 0);
  enc8->setBuffer(loss, 0, 1);
  enc8->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
  enc8->endEncoding();
  cb7->commit();
  cb7->waitUntilCompleted();  // expect: required reads loss
  total += static_cast<float*>(loss->contents())[0];
  return total;
}
