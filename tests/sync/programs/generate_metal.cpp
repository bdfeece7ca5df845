// Generation: a key-value cache on the device, the next token chosen on the host from logits whose
// pointer was taken once.
#include <Metal/Metal.hpp>
#include <cstdio>
#include <vector>

struct Model {
  NS::SharedPtr<MTL::CommandQueue> queue;
  MTL::Buffer* embedding;
  MTL::Buffer* keys;
  MTL::Buffer* values;
  MTL::Buffer* hidden;
  MTL::Buffer* logits;
  MTL::Buffer* token;
  float* scores;
};

static void run_layer(Model& model, int layer) {
  auto* cb = model.queue->commandBuffer();
  auto* enc = cb->computeCommandEncoder();
  enc->setBuffer(model.hidden, 0, 0);
  enc->setBuffer(model.keys, 0, 1);
  enc->setBuffer(model.values, 0, 2);
  enc->setBytes(&layer, sizeof(layer), 3);
  enc->dispatchThreads(MTL::Size(32, 1, 1), MTL::Size(32, 1, 1));
  enc->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();
}

static void embed(Model& model, int id) {
  *static_cast<int*>(model.token->contents()) = id;
  auto* cb = model.queue->commandBuffer();
  auto* enc = cb->computeCommandEncoder();
  enc->setBuffer(model.token, 0, 0);
  enc->setBuffer(model.embedding, 0, 1);
  enc->setBuffer(model.hidden, 0, 2);
  enc->dispatchThreads(MTL::Size(32, 1, 1), MTL::Size(32, 1, 1));
  enc->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();
}

static int pick(const Model& model, int count) {
  int best = 0;
  for (int i = 1; i < count; ++i) {
    if (model.scores[i] > model.scores[best]) best = i;
  }
  return best;
}

static int next_token(Model& model, int id) {
  embed(model, id);
  for (int layer = 0; layer < 3; ++layer) run_layer(model, layer);
  auto* cb = model.queue->commandBuffer();
  auto* enc = cb->computeCommandEncoder();
  enc->setBuffer(model.hidden, 0, 0);
  enc->setBuffer(model.logits, 0, 1);
  enc->dispatchThreads(MTL::Size(64, 1, 1), MTL::Size(32, 1, 1));
  enc->endEncoding();
  cb->commit();
  cb->waitUntilCompleted();
  return pick(model, 64);
}

int main() {
  auto* device = MTL::CreateSystemDefaultDevice();
  Model model;
  model.queue = NS::TransferPtr(device->newCommandQueue());
  model.embedding = device->newBuffer(1024, MTL::ResourceStorageModeShared);
  model.keys = device->newBuffer(512, MTL::ResourceStorageModeShared);
  model.values = device->newBuffer(512, MTL::ResourceStorageModeShared);
  model.hidden = device->newBuffer(128, MTL::ResourceStorageModeShared);
  model.logits = device->newBuffer(256, MTL::ResourceStorageModeShared);
  model.token = device->newBuffer(4, MTL::ResourceStorageModeShared);
  model.scores = static_cast<float*>(model.logits->contents());
  int id = 1;
  for (int i = 0; i < 10; ++i) {
    id = next_token(model, id);
    std::printf("%d ", id);
  }
  std::printf("\n");
  return 0;
}
