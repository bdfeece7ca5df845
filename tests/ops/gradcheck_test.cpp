// Every backward case against central differences of its forward reference.
#include "ops/case_test.h"

namespace cajal::testing {
namespace {

using Gradients = CaseTest;

TEST_P(Gradients, MatchCentralDifferences) {
  SCOPED_TRACE(how_to_repeat());
  expect_none(check_gradients(GetParam(), test_device(), run_seed()));
}

INSTANTIATE_TEST_SUITE_P(AllCases, Gradients, ::testing::ValuesIn(cases_where([](const OpCase& c) {
                           return !c.gradcheck.empty();
                         })),
                         test_name);

}  // namespace
}  // namespace cajal::testing
