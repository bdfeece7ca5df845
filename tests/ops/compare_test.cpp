// Every case against its float64 reference.
#include <set>

#include "ops/case_test.h"

namespace cajal::testing {
namespace {

class PrintSeed : public ::testing::Environment {
 public:
  void SetUp() override {
    fmt::print("CAJAL_TEST_SEED={} CAJAL_TEST_DEVICE={}\n", run_seed(), test_device_name());
  }
};
const auto* const kPrintSeed =
    ::testing::AddGlobalTestEnvironment(new PrintSeed);  // GoogleTest owns it.

using Compare = CaseTest;

TEST_P(Compare, MatchesReference) {
  SCOPED_TRACE(how_to_repeat());
  expect_none(check_against_reference(GetParam(), test_device(), run_seed()));
}

INSTANTIATE_TEST_SUITE_P(AllCases, Compare, ::testing::ValuesIn(cases_where([](const OpCase& c) {
                           return static_cast<bool>(c.reference);
                         })),
                         test_name);

TEST(CaseList, NamesAreUniqueAndEveryCaseChecksSomething) {
  std::set<std::string> names;
  for (const auto& op_case : all_cases()) {
    EXPECT_TRUE(names.insert(full_name(op_case)).second) << full_name(op_case);
    EXPECT_TRUE(op_case.reference || !op_case.gradcheck.empty() || op_case.perf)
        << full_name(op_case);
  }
  EXPECT_FALSE(names.empty());
}

}  // namespace
}  // namespace cajal::testing
