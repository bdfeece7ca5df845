// What the parameterised tests over all_cases() share.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cctype>
#include <ostream>
#include <string>
#include <vector>

#include "device_fixture.h"
#include "ops/harness.h"

namespace cajal::testing {

inline void PrintTo(const OpCase& op_case, std::ostream* out) { *out << full_name(op_case); }

/// GoogleTest takes only letters, digits and underscores.
inline std::string test_name(const ::testing::TestParamInfo<OpCase>& info) {
  std::string name = full_name(info.param);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

template <class Predicate>
std::vector<OpCase> cases_where(Predicate predicate) {
  std::vector<OpCase> chosen;
  for (auto& op_case : all_cases()) {
    if (predicate(op_case)) chosen.push_back(std::move(op_case));
  }
  return chosen;
}

/// A test of one case, where the device can run it.
class CaseTest : public DeviceTest, public ::testing::WithParamInterface<OpCase> {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    if (const auto reason = skip_reason(GetParam(), *test_device())) GTEST_SKIP() << *reason;
  }
};

inline std::string how_to_repeat() {
  return fmt::format("repeat with CAJAL_TEST_SEED={}", run_seed());
}

inline void expect_none(const std::vector<std::string>& problems) {
  for (const auto& problem : problems) ADD_FAILURE() << problem;
}

}  // namespace cajal::testing
