// What the runtime's tests share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <future>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cajal/command_queue.h"
#include "cajal/error.h"
#include "runtime/backend.h"

namespace cajal::test {

using namespace std::chrono_literals;

/// A device with one queue on it.
struct Bench {
  explicit Bench(QueueOptions options = {}, DeviceOptions device_options = {})
      : device(Device::open("cpu", device_options)), queue(device, options) {}

  Buffer ints(std::size_t count, std::string label = "ints") const {
    return device->allocate(count * sizeof(std::int32_t), std::move(label));
  }

  std::shared_ptr<Device> device;
  CommandQueue queue;
};

/// Keeps the device busy until opened; opens by itself when the test leaves early.
class Gate {
 public:
  Gate() : opened_(promise_.get_future().share()) {}
  ~Gate() { open(); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void open() {
    if (!std::exchange(is_open_, true)) promise_.set_value();
  }
  Kernel kernel() const {
    return [opened = opened_](ExecutionContext&) { opened.wait(); };
  }

 private:
  std::promise<void> promise_;
  std::shared_future<void> opened_;
  bool is_open_ = false;
};

inline Kernel nothing() {
  return [](ExecutionContext&) {};
}

inline Kernel sleeps(std::chrono::nanoseconds time) {
  return [time](ExecutionContext&) { std::this_thread::sleep_for(time); };
}

inline Kernel fails(std::string message) {
  return [message](ExecutionContext&) { throw std::runtime_error(message); };
}

inline Kernel sets(Buffer to, std::int32_t value) {
  return [to, value](ExecutionContext&) { *to.device_data<std::int32_t>() = value; };
}

/// to = to * factor + from: does not commute, so that a wrong order shows.
inline Kernel folds(Buffer to, Buffer from, std::int32_t factor) {
  return [to, from, factor](ExecutionContext&) {
    auto* const value = to.device_data<std::uint32_t>();
    *value = *value * static_cast<std::uint32_t>(factor) + *from.device_data<std::uint32_t>();
  };
}

inline std::int32_t read_int(CommandQueue& queue, const Buffer& from) {
  std::int32_t value = 0;
  queue.read(from, std::as_writable_bytes(std::span(&value, 1)), WaitReason::evaluation);
  return value;
}

inline void write_int(CommandQueue& queue, const Buffer& to, std::int32_t value) {
  queue.write(std::as_bytes(std::span(&value, 1)), to, WaitReason::evaluation);
}

/// Fresh every run, printed so that a failure can be repeated.
inline std::mt19937_64 fresh_random() {
  const std::uint64_t seed = std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

/// What the Error says that `action` throws.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no Error)";
}

}  // namespace cajal::test
