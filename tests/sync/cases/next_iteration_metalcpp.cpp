// Next iteration.
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
    static_cast<float*>(a->contents())[0] = total;
    MTL::CommandBuffer* cb1 = queue->commandBuffer();
    auto* enc2 = cb1->computeCommandEncoder();
    enc2->setBuffer(a, 0, 0);
    enc2->setBuffer(b, 0, 1);
    enc2->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
    enc2->endEncoding();
    cb1->commit();
    cb1->waitUntilCompleted();  // expect: required writes a
  }
  return total;
}
