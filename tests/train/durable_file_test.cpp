#include "train/durable_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <system_error>

#include "cajal/error.h"
#include "temporary_directory.h"
#include "train/manifest.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(FileErrors, EachHasAReasonAndARemedy) {
  for (int error = 1; error < 140; ++error) {  // More than there are on Linux.
    try {
      throw_file_error("write", "runs/a", error);
    } catch (const Error& thrown) {
      const std::string text = thrown.what();
      EXPECT_THAT(
          text,
          AllOf(StartsWith("cannot write runs/a: " + std::generic_category().message(error) + "; "),
                testing::Not(HasSubstr("\n"))));
    }
  }
}

TEST(AtomicFile, ReckonsItsChecksumOnTheWay) {
  const TemporaryDirectory temporary;
  AtomicFile file(temporary / "a");
  file.write("some ");
  file.write("text");
  const ManifestEntry told = file.commit();
  EXPECT_EQ(told, hash_file(temporary / "a"));
  EXPECT_EQ(contents_of(temporary / "a"), "some text");
}

TEST(AtomicFile, TouchesNoOtherFile) {
  const TemporaryDirectory temporary;
  put(temporary / ".tmp-a", "mine");
  put(temporary / "taken", "mine");
  write_file_atomically(temporary / "a", "text");
  EXPECT_THROW(AtomicFile(temporary / "a", temporary / "taken"), Error);
  EXPECT_EQ(contents_of(temporary / ".tmp-a"), "mine");
  EXPECT_EQ(contents_of(temporary / "taken"), "mine");
  { AtomicFile(temporary / "b").write("lost"); }
  EXPECT_EQ(std::distance(fs::directory_iterator(temporary.path()), {}), 3);
}

}  // namespace
}  // namespace cajal::train
