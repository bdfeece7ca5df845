// Fixtures of tests that need a device: without it they are skipped, and say why.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "test_device.h"

namespace cajal::testing {

/// Why the device cannot be opened; asked once a name, because opening one takes its time.
inline const std::optional<std::string>& why_skipped(const std::string& name) {
  static std::map<std::string, std::optional<std::string>> answers;
  const auto found = answers.find(name);
  return found != answers.end() ? found->second
                                : answers.emplace(name, why_not(name)).first->second;
}

/// Runs on test_device(). Members that need it are made in SetUp, never in a constructor: a fixture
/// that is skipped has been constructed.
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto& reason = why_skipped(test_device_name())) GTEST_SKIP() << *reason;
  }
};

/// Runs on a CUDA card, whatever CAJAL_TEST_DEVICE says.
class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto& reason = why_skipped(cuda_device_name())) GTEST_SKIP() << *reason;
  }
};

}  // namespace cajal::testing
