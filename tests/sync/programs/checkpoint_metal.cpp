// Two networks, double-buffered batches, checkpoints that are read on the host and read back in.
#include <Metal/Metal.hpp>
#include <cstdio>
#include <cstring>
#include <vector>

class Network {
 public:
  Network(MTL::Device* device, MTL::CommandQueue* queue, float start) : queue_(queue) {
    for (int i = 0; i < 4; ++i) {
      layers_.push_back(device->newBuffer(128, MTL::ResourceStorageModeShared));
      static_cast<float*>(layers_[i]->contents())[0] = start + static_cast<float>(i);
    }
  }

  void forward(MTL::Buffer* batch) {
    for (MTL::Buffer* layer : layers_) {
      MTL::CommandBuffer* cb = queue_->commandBuffer();
      MTL::ComputeCommandEncoder* enc = cb->computeCommandEncoder();
      enc->setBuffer(batch, 0, 0);
      enc->setBuffer(layer, 0, 1);
      enc->dispatchThreads(MTL::Size(32, 1, 1), MTL::Size(32, 1, 1));
      enc->endEncoding();
      cb->commit();
      cb->waitUntilCompleted();
    }
  }

  std::vector<float> save() const {
    std::vector<float> out;
    for (MTL::Buffer* layer : layers_) {
      const float* from = static_cast<const float*>(layer->contents());
      out.insert(out.end(), from, from + 32);
    }
    return out;
  }

  void load(const std::vector<float>& values) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::memcpy(layers_[i]->contents(), values.data() + 32 * i, 128);
    }
  }

 private:
  MTL::CommandQueue* queue_;
  std::vector<MTL::Buffer*> layers_;
};

static void fill(MTL::Buffer* batch, int step) {
  auto* words = static_cast<unsigned*>(batch->contents());
  for (unsigned i = 0; i < 32; ++i) words[i] = i * 7 + static_cast<unsigned>(step);
}

int main() {
  MTL::Device* device = MTL::CreateSystemDefaultDevice();
  MTL::CommandQueue* queue = device->newCommandQueue();
  Network teacher(device, queue, 1);
  Network student(device, queue, 2);
  MTL::Buffer* batches[2] = {device->newBuffer(128, MTL::ResourceStorageModeShared),
                             device->newBuffer(128, MTL::ResourceStorageModeShared)};
  std::vector<float> kept;
  for (int step = 0; step < 8; ++step) {
    MTL::Buffer* batch = batches[step % 2];
    fill(batch, step);
    teacher.forward(batch);
    student.forward(batch);
    if (step == 3) kept = teacher.save();
    if (step == 5) student.load(kept);
  }
  float sum = 0;
  for (const float value : student.save()) sum += value;
  std::printf("%.6f\n", sum);
  return 0;
}
