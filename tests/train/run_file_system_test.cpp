// Run directories on file systems that are read-only, too small, or without links and locks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "cajal/error.h"
#include "checkpoint_fixture.h"
#include "child_process.h"
#include "own_file_system.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

template <class Function>
std::string problem_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(RunFileSystem, ACopyMadeWhileARunIsGoingOnIsARunOfItsOwn) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary / "run", kBegin);
  publish(directory, 1);
  directory.publish(2, {}, [&](const fs::path& folder) {
    auto written = write_checkpoint(folder, 2);
    fs::copy(temporary / "run", temporary / "copy",
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    return written;
  });
  RunDirectory copy(temporary / "copy", kResume);
  EXPECT_EQ(copy.latest_step(), 1);
  EXPECT_THAT(names_in(copy.scratch()), IsEmpty());
  publish(copy, 7);
  publish(directory, 3);
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "run"), 3);
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "copy"), 7);
}

TEST(RunFileSystem, AnotherThreadMayPublish) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  std::thread writer([&] {
    for (int step = 1; step <= 5; ++step) publish(directory, step);
  });
  writer.join();
  EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 5);
}

#ifdef __linux__

TEST(RunFileSystem, ReadOnlyIsOneLineBeforeARun) {
  const TemporaryDirectory temporary;
  const int code = in_child([&] {
    mount_small_file_system(temporary.path(), "size=4m");
    const auto remount = [&](unsigned long flags) {
      if (::mount(nullptr, temporary.path().c_str(), nullptr, MS_REMOUNT | flags, nullptr) != 0) {
        ::_exit(kNotPermitted);
      }
    };
    {
      RunDirectory directory(temporary / "run", kBegin);
      publish(directory, 1);
    }
    remount(MS_RDONLY);
    EXPECT_EQ(step_of_whole_checkpoint(temporary / "run"), 1);
    EXPECT_THAT(problem_of([&] { const RunDirectory again(temporary / "run", kResume); }),
                AllOf(HasSubstr("Read-only file system"), HasSubstr("--out")));
    EXPECT_THAT(problem_of([&] { const RunDirectory other(temporary / "new", kBegin); }),
                AllOf(HasSubstr("Read-only file system"), HasSubstr("--out")));
    remount(0);
    RunDirectory directory(temporary / "run", kResume);
    publish(directory, 2);
    EXPECT_EQ(step_of_whole_checkpoint(temporary / "run"), 2);
  });
  if (code == kNotPermitted) GTEST_SKIP() << "mounting is not permitted here";
  EXPECT_EQ(code, 0);
}

bool shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;  // NOLINT
}

/// The real one, where root, exfatprogs and exfat-fuse are there: no symbolic links, no hard links.
TEST(RunFileSystem, ExfatGetsCopies) {
  if (::geteuid() != 0 || !shell("command -v mkfs.exfat && command -v mount.exfat-fuse")) {
    GTEST_SKIP() << "needs root, exfatprogs and exfat-fuse";
  }
  const TemporaryDirectory temporary;
  fs::create_directory(temporary / "stick");
  const int code = in_child([&] {
    own_mounts();
    const std::string image = temporary / "image";
    const std::string stick = temporary / "stick";
    if (!shell("truncate -s 32M " + image + " && mkfs.exfat " + image) ||
        !shell("loop=$(losetup -f --show " + image + ") && mount.exfat-fuse $loop " + stick +
               "; done=$?; losetup -d $loop; exit $done")) {
      ::_exit(kNotPermitted);
    }
    for (int start = 0; start < 2; ++start) {
      OpenRun directory(stick + "/run");
      EXPECT_EQ(directory.links(), Links::copies);
      EXPECT_THAT(directory.warnings(), IsEmpty());
      for (int i = 0; i < 2; ++i) {
        EXPECT_THAT(publish(directory, directory.latest_step() + 2), IsEmpty());
      }
    }
    verify(stick + "/run");
    EXPECT_EQ(step_of_whole_checkpoint(RunDirectory::find_whole(stick + "/run").value()), 7);
    EXPECT_EQ(contents_of(stick + "/run/latest"), "checkpoint-7\n");
    EXPECT_TRUE(shell("umount " + stick));
  });
  if (code == kNotPermitted) GTEST_SKIP() << "mounting is not permitted here";
  EXPECT_EQ(code, 0);
}

#endif

}  // namespace
}  // namespace cajal::train
