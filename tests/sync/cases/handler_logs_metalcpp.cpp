// A completion handler that logs the error touches no buffer, and does not run where it is made.
#include <Metal/Metal.hpp>
#include <cstdio>

struct Machine {
  MTL::CommandQueue *queue;
  NS::SharedPtr<MTL::Buffer> a;
  NS::SharedPtr<MTL::Buffer> b;
};

static MTL::CommandBuffer *copy(Machine &m, MTL::Buffer *from, MTL::Buffer *to) {
  MTL::CommandBuffer *commands = m.queue->commandBuffer();
  MTL::BlitCommandEncoder *encoder = commands->blitCommandEncoder();
  encoder->copyFromBuffer(from, 0, to, 0, 64);
  encoder->endEncoding();
  commands->addCompletedHandler(MTL::HandlerFunction([](MTL::CommandBuffer *done) {
    if (done->status() == MTL::CommandBufferStatusError) {
      fprintf(stderr, "failed: %s\n",
              done->error() ? done->error()->localizedDescription()->utf8String() : "no error");
    }
  }));
  commands->commit();
  return commands;
}

void there_and_back(Machine &m) {
  MTL::CommandBuffer *there = copy(m, m.a.get(), m.b.get());
  there->waitUntilCompleted();  // expect: redundant
  MTL::CommandBuffer *back = copy(m, m.b.get(), m.a.get());
  back->waitUntilCompleted();  // expect: required
}
