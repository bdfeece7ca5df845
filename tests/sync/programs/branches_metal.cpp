// Evaluation on some steps, early returns, a switch over what runs, and a log that is read seldom.
#include <Metal/Metal.hpp>
#include <cstdio>

enum class Phase { train, evaluate, skip };

struct Session {
  MTL::CommandQueue* queue;
  MTL::Buffer* data;
  MTL::Buffer* model;
  MTL::Buffer* scratch;
  MTL::Buffer* metrics;

  bool run(Phase phase, int step);
  float metric(int at) const;
};

float Session::metric(int at) const { return static_cast<float*>(metrics->contents())[at]; }

bool Session::run(Phase phase, int step) {
  if (phase == Phase::skip) return false;
  MTL::CommandBuffer* load = queue->commandBuffer();
  MTL::BlitCommandEncoder* blit = load->blitCommandEncoder();
  blit->copyFromBuffer(data, 0, scratch, 0, 128);
  blit->endEncoding();
  load->commit();
  load->waitUntilCompleted();

  MTL::CommandBuffer* work = queue->commandBuffer();
  MTL::ComputeCommandEncoder* enc = work->computeCommandEncoder();
  switch (phase) {
    case Phase::train:
      enc->setBuffer(scratch, 0, 0);
      enc->setBuffer(model, 0, 1);
      break;
    case Phase::evaluate:
      enc->setBuffer(scratch, 0, 0);
      enc->setBuffer(metrics, 0, 2);
      break;
    default:
      break;
  }
  enc->setBytes(&step, sizeof(step), 5);
  enc->dispatchThreads(MTL::Size(32, 1, 1), MTL::Size(32, 1, 1));
  enc->endEncoding();
  work->commit();
  work->waitUntilCompleted();
  if (phase == Phase::train) {
    MTL::CommandBuffer* decay = queue->commandBuffer();
    MTL::ComputeCommandEncoder* more = decay->computeCommandEncoder();
    more->setBuffer(model, 0, 0);
    more->setBuffer(data, 0, 1);
    more->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(32, 1, 1));
    more->endEncoding();
    decay->commit();
    decay->waitUntilCompleted();
    return true;
  }
  return metric(0) > 0.5F;
}

int main() {
  MTL::Device* device = MTL::CreateSystemDefaultDevice();
  Session session;
  session.queue = device->newCommandQueue();
  session.data = device->newBuffer(256, MTL::ResourceStorageModeShared);
  session.model = device->newBuffer(256, MTL::ResourceStorageModeShared);
  session.scratch = device->newBuffer(128, MTL::ResourceStorageModeShared);
  session.metrics = device->newBuffer(64, MTL::ResourceStorageModeShared);
  int good = 0;
  for (int step = 0; step < 12; ++step) {
    const Phase phase = step % 5 == 4   ? Phase::evaluate
                        : step % 7 == 6 ? Phase::skip
                                        : Phase::train;
    if (session.run(phase, step)) ++good;
    if (step % 4 == 3) {
      std::printf("%d %.6f %.6f\n", good, session.metric(1),
                  static_cast<float*>(session.model->contents())[2]);
    }
  }
  return 0;
}
