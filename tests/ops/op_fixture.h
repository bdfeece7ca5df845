// Small helpers for tests of one operation's behaviour beyond the case list.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cajal/command_queue.h"
#include "cajal/error.h"
#include "device_fixture.h"
#include "ops/harness.h"

namespace cajal::testing {

class OpTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    device = test_device();
    queue = std::make_unique<CommandQueue>(device);
  }

  template <class T>
  Tensor tensor(const std::vector<T>& values, DType dtype, Shape shape = {}) {
    if (shape.empty()) shape = {static_cast<std::int64_t>(values.size())};
    Tensor result(device->allocate(values.size() * sizeof(T), "test"), dtype, std::move(shape));
    queue->write(std::as_bytes(std::span(values)), result.buffer, WaitReason::evaluation);
    return result;
  }
  Tensor floats(const std::vector<float>& values, Shape shape = {}) {
    return tensor(values, DType::f32, std::move(shape));
  }
  Tensor integers(const std::vector<std::int32_t>& values, Shape shape = {}) {
    return tensor(values, DType::i32, std::move(shape));
  }

  template <class T>
  std::vector<T> read(const Tensor& from) {
    std::vector<T> values(static_cast<std::size_t>(from.size()));
    queue->read(from.buffer, std::as_writable_bytes(std::span(values)), WaitReason::evaluation);
    return values;
  }

  /// Records by `encode` and runs once.
  template <class Encode>
  void run(Encode encode) {
    const auto commands = queue->command_buffer("test");
    encode(*commands);
    queue->wait(queue->commit(commands), WaitReason::evaluation);
  }

  /// The message of the Error that `action` throws; empty when it throws none.
  template <class Action>
  std::string error_of(Action action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  std::shared_ptr<Device> device;
  std::unique_ptr<CommandQueue> queue;
};

}  // namespace cajal::testing
