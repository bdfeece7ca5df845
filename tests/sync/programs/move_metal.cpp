// Waits that could stand later, and host work between the submission and the first read.
#include <Metal/Metal.hpp>
#include <cstdio>
#include <vector>

struct Pipeline {
  MTL::CommandQueue* queue;
  MTL::Buffer* image;
  MTL::Buffer* edges;
  MTL::Buffer* histogram;
  MTL::Buffer* spare;
};

static MTL::CommandBuffer* start(Pipeline& p, MTL::Buffer* from, MTL::Buffer* to) {
  MTL::CommandBuffer* cb = p.queue->commandBuffer();
  MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
  enc->setBuffer(from, 0, 0);
  enc->setBuffer(to, 0, 1);
  enc->dispatchThreadgroups(MTL::Size(8, 8, 1), MTL::Size(8, 8, 1));
  enc->endEncoding();
  cb->commit();
  return cb;
}

static int prepare(std::vector<int>& table, int frame) {
  int sum = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<int>(i) * frame % 17;
    sum += table[i];
  }
  return sum;
}

static float frame(Pipeline& p, std::vector<int>& table, int index) {
  MTL::CommandBuffer* cb = p.queue->commandBuffer();
  MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
  enc->setBuffer(p.image, 0, 0);
  enc->setBuffer(p.edges, 0, 1);
  enc->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(8, 1, 1));
  enc->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();
  const int sum = prepare(table, index);
  float strongest = static_cast<float*>(p.edges->contents())[0];
  MTL::CommandBuffer* count = start(p, p.edges, p.histogram);
  count->waitUntilCompleted();
  MTL::CommandBuffer* other = start(p, p.histogram, p.spare);
  other->waitUntilCompleted();
  strongest += static_cast<float*>(p.histogram->contents())[sum % 8];
  static_cast<int*>(p.image->contents())[0] = index;
  return strongest;
}

int main() {
  MTL::Device* device = MTL::CreateSystemDefaultDevice();
  Pipeline p{device->newCommandQueue(), device->newBuffer(256, MTL::ResourceStorageModeShared),
             device->newBuffer(256, MTL::ResourceStorageModeShared),
             device->newBuffer(64, MTL::ResourceStorageModeShared),
             device->newBuffer(64, MTL::ResourceStorageModeShared)};
  std::vector<int> table(100);
  for (int i = 0; i < 6; ++i) std::printf("%.6f\n", frame(p, table, i));
  return 0;
}
