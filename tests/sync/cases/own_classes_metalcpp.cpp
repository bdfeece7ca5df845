// Wrappers of the program's own: an operator that writes, an arrow that leads to the memory, and a
// member whose destructor reads.
#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>

struct Pair {
  float first;
};

struct View {
  MTL::Buffer* buffer;
  explicit View(MTL::Buffer* from) : buffer(from) {}
  View& operator=(float value) {
    static_cast<float*>(buffer->contents())[0] = value;
    return *this;
  }
  Pair* operator->() { return static_cast<Pair*>(buffer->contents()); }
};

struct Reporter {
  MTL::Buffer* buffer;
  ~Reporter() { std::printf("%f\n", static_cast<float*>(buffer->contents())[0]); }
};

struct Holder {
  Reporter reporter;
  explicit Holder(MTL::Buffer* from) : reporter{from} {}
};

void run(MTL::CommandQueue* queue, MTL::Buffer* a) {
  View view(a);
  auto* cb = queue->commandBuffer();
  auto* enc = cb->computeCommandEncoder();
  enc->setBuffer(a, 0, 0);
  enc->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();  // expect: required writes a
  view = 1.0f;
  cb = queue->commandBuffer();
  enc = cb->computeCommandEncoder();
  enc->setBuffer(a, 0, 0);
  enc->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();  // expect: required reads a
  std::printf("%f\n", view->first);
  cb = queue->commandBuffer();
  enc = cb->computeCommandEncoder();
  enc->setBuffer(a, 0, 0);
  enc->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();  // expect: required reads a
  { Holder holder(a); }
}
