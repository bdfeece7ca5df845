// The device that tests and benchmarks run on, chosen by CAJAL_TEST_DEVICE.
#pragma once

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "cajal/device.h"
#include "cajal/error.h"

namespace cajal::testing {

/// CAJAL_TEST_DEVICE, "cpu" unless set.
inline std::string test_device_name() {
  // Read before any thread is started.
  const char* name = std::getenv("CAJAL_TEST_DEVICE");  // NOLINT(concurrency-mt-unsafe)
  return name != nullptr && *name != '\0' ? name : "cpu";
}

/// The CUDA card for tests that need one: CAJAL_TEST_DEVICE where that names a card, else the
/// first.
inline std::string cuda_device_name() {
  const std::string name = test_device_name();
  return name.starts_with("cuda") ? name : "cuda";
}

/// Why the device cannot be opened; nothing when it can.
inline std::optional<std::string> why_not(const std::string& name) {
  try {
    Device::open(name);
  } catch (const Error& error) {
    return name + ": " + error.what();
  }
  return std::nullopt;
}

/// A device of one test's own.
inline std::shared_ptr<Device> open_test_device(DeviceOptions options = {}) {
  return Device::open(test_device_name(), options);
}

/// The device that most tests share, opened once. Throws where it cannot be: tests ask why_not
/// first.
inline const std::shared_ptr<Device>& test_device() {
  static const std::shared_ptr<Device> device = open_test_device();
  return device;
}

}  // namespace cajal::testing
