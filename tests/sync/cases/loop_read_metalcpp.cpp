// Loop read.
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
  for (int i1 = 0; i1 < n; ++i1) {
    MTL::CommandBuffer* cb1 = queue->commandBuffer();
    auto* enc2 = cb1->computeCommandEncoder();
    enc2->setBuffer(a, 0, 0);
    enc2->setBuffer(loss, 0, 1);
    enc2->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
    enc2->endEncoding();
    cb1->commit();
    cb1->waitUntilCompleted();  // expect: redundant
    MTL::CommandBuffer* cb3 = queue->commandBuffer();
    auto* enc4 = cb3->computeCommandEncoder();
    enc4->setBuffer(loss, 0, 0);
    enc4->setBuffer(a, 0, 1);
    enc4->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
    enc4->endEncoding();
    cb3->commit();
    cb3->waitUntilCompleted();  // expect: required reads loss
    total += static_cast<float*>(loss->contents())[0];
  }
  return total;
}
