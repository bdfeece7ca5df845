#include "train/disk_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cajal/error.h"
#include "temporary_directory.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

TEST(DiskSpace, IsThatOfTheNearestFolderThatIsThere) {
  const TemporaryDirectory temporary;
  const auto free = free_space(temporary / "runs/not/yet/there");
  ASSERT_TRUE(free);
  // Others write meanwhile.
  EXPECT_NEAR(static_cast<double>(*free),
              static_cast<double>(fs::space(temporary.path()).available), 1e9);
}

TEST(DiskSpace, OneCheckpointMustFit) {
  const TemporaryDirectory temporary;
  const std::uint64_t free = free_space(temporary.path()).value();
  try {
    require_space(temporary.path(), 2 * free, 1);
    ADD_FAILURE() << "accepted";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("a checkpoint takes"), HasSubstr("free"),
                                    HasSubstr(temporary.path().string()), HasSubstr("--out")));
  }
}

TEST(DiskSpace, FewerThanASaveMayNeedIsAWarning) {
  const TemporaryDirectory temporary;
  const std::uint64_t free = free_space(temporary.path()).value();
  EXPECT_EQ(require_space(temporary.path(), free / 8, 5), std::nullopt);
  EXPECT_THAT(require_space(temporary.path(), free / 6, 5).value(),
              AllOf(HasSubstr("a checkpoint takes"), HasSubstr("are needed")));
  EXPECT_TRUE(require_space(temporary.path(), free / 6, 2'000'000'000).has_value());
  EXPECT_EQ(require_space(temporary.path(), 0, 1), std::nullopt);
}

}  // namespace
}  // namespace cajal::train
