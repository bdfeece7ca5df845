// Early return.
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
  cb1->waitUntilCompleted();  // expect: required exit
  if (n > 3) {
    return total;
  }
  MTL::CommandBuffer* cb3 = queue->commandBuffer();
  auto* enc4 = cb3->computeCommandEncoder();
  enc4->setBuffer(b, 0, 0);
  enc4->setBuffer(c.get(), 0, 1);
  enc4->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
  enc4->endEncoding();
  cb3->commit();
  cb3->waitUntilCompleted();  // expect: required exit
  return total;
}
