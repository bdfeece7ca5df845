// A queue on a CUDA card, for tests that are skipped without one.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cuda_kernels.h"
#include "device_fixture.h"
#include "support.h"

namespace cajal::test {

class CudaQueueTest : public ::cajal::testing::CudaTest {
 protected:
  using Ints = std::vector<std::int32_t>;

  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    device = Device::open(::cajal::testing::cuda_device_name());
    open_queue();
  }

  void open_queue(QueueOptions options = {}) {
    queue = std::make_unique<CommandQueue>(device, options);
  }

  Buffer ints(std::size_t count, std::string label = "ints") const {
    return device->allocate(count * sizeof(std::int32_t), std::move(label));
  }
  Buffer ints_of(const Ints& values, std::string label = "ints") const {
    const Buffer buffer = ints(values.size(), std::move(label));
    write(buffer, values);
    return buffer;
  }
  void write(const Buffer& to, const Ints& values) const {
    queue->write(std::as_bytes(std::span(values)), to, WaitReason::evaluation);
  }
  Ints read(const Buffer& from) const {
    Ints values(from.size() / sizeof(std::int32_t));
    queue->read(from, std::as_writable_bytes(std::span(values)), WaitReason::evaluation);
    return values;
  }
  void run(const std::shared_ptr<CommandBuffer>& commands) const {
    queue->wait(queue->commit(commands), WaitReason::evaluation);
  }

  std::shared_ptr<Device> device;
  std::unique_ptr<CommandQueue> queue;
};

}  // namespace cajal::test
