// Gradients accumulate over micro batches; the sum is read after the last one, and a clipped copy
// goes back.
#include <Metal/Metal.hpp>
#include <cmath>
#include <cstdio>
#include <vector>

namespace {

MTL::CommandQueue* queue;
MTL::Buffer* input;
MTL::Buffer* grads;
MTL::Buffer* params;

void dispatch(MTL::CommandBuffer* cb, MTL::Buffer* from, MTL::Buffer* to, unsigned width) {
  MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
  enc->setBuffer(from, 0, 0);
  enc->setBuffer(to, 0, 1);
  enc->dispatchThreads(MTL::Size(width, 1, 1), MTL::Size(32, 1, 1));
  enc->endEncoding();
}

void clear_gradients() {
  MTL::CommandBuffer* cb = queue->commandBuffer();
  MTL::BlitCommandEncoder* blit = cb->blitCommandEncoder();
  blit->fillBuffer(grads, NS::Range::Make(0, 256), 0);
  blit->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();
}

void micro_batch(int index) {
  float* x = static_cast<float*>(input->contents());
  for (int i = 0; i < 64; ++i) x[i] = 0.5F * static_cast<float>(i + index);
  MTL::CommandBuffer* cb = queue->commandBuffer();
  dispatch(cb, input, params, 64);
  cb->commit();
  cb->waitUntilCompleted();
  cb = queue->commandBuffer();
  dispatch(cb, params, grads, 128);
  cb->commit();
  cb->waitUntilCompleted();
}

float clip() {
  float* g = static_cast<float*>(grads->contents());
  float norm = 0;
  for (int i = 0; i < 64; ++i) norm += g[i] * g[i];
  norm = std::sqrt(norm);
  if (norm > 1) {
    for (int i = 0; i < 64; ++i) g[i] /= norm;
  }
  return norm;
}

}  // namespace

int main() {
  MTL::Device* device = MTL::CreateSystemDefaultDevice();
  queue = device->newCommandQueue();
  input = device->newBuffer(256, MTL::ResourceStorageModeShared);
  grads = device->newBuffer(256, MTL::ResourceStorageModeShared);
  params = device->newBuffer(256, MTL::ResourceStorageModeShared);
  for (int step = 0; step < 4; ++step) {
    clear_gradients();
    for (int micro = 0; micro < 3; ++micro) micro_batch(step * 3 + micro);
    const float norm = clip();
    MTL::CommandBuffer* cb = queue->commandBuffer();
    dispatch(cb, grads, params, 64);
    cb->commit();
    cb->waitUntilCompleted();
    std::printf("step %d norm %.6f\n", step, norm);
  }
  std::printf("%.6f\n", static_cast<float*>(params->contents())[3]);
  return 0;
}
