// Missing write.
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
  enc2->setBuffer(loss, 0, 1);
  enc2->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(64, 1, 1));
  enc2->endEncoding();
  cb1->commit();
  static_cast<float*>(a->contents())[0] = total;  // expect: missing
  cb1->waitUntilCompleted();                      // expect: required exit
  return total;
}
