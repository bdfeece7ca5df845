// A checkpoint must survive whatever ends the run that is writing the next one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "cajal/error.h"
#include "checkpoint_fixture.h"
#include "child_process.h"
#include "own_file_system.h"

#ifdef __linux__
#include <sys/ptrace.h>
#endif

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

/// In memory where that is possible: a kill cannot tell the difference, and a flush costs nothing.
fs::path fast_directory() {
  const fs::path memory = "/dev/shm";
  return ::access(memory.c_str(), W_OK | X_OK) == 0 ? memory : fs::temp_directory_path();
}

/// What must hold after any death: the newest checkpoint and the one that `latest` names are whole,
/// before and after the next start, and that start cleans up and can go on. Returns the step found.
std::int64_t expect_whole(const fs::path& path) {
  step_of_whole_checkpoint(path / "latest");
  const std::int64_t seen = step_of_whole_checkpoint(RunDirectory::find_whole(path).value());
  {
    const OpenRun directory(path);
    EXPECT_EQ(directory.latest_step(), seen);
    EXPECT_THAT(directory.warnings(), testing::IsEmpty());
    EXPECT_EQ(step_of_whole_checkpoint(path), seen);
  }
  EXPECT_FALSE(has_leftovers(path));
  EXPECT_EQ(contents_of(path / "notes.txt"), "mine");
  return seen;
}

TEST(RunDirectoryCrash, KilledAtRandomMoments) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const TemporaryDirectory temporary(fast_directory());
  put(temporary / "notes.txt", "mine");
  const auto start = std::chrono::steady_clock::now();
  {
    OpenRun directory(temporary.path());
    publish(directory, 1);
  }
  const std::chrono::duration<double> once = std::chrono::steady_clock::now() - start;
  std::uniform_real_distribution<double> lifetime(0.0, 5.0 * once.count() + 0.01);
  std::int64_t last = 1;
  constexpr int kKills = 100;
  for (int kill = 0; kill < kKills; ++kill) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      OpenRun directory(temporary.path());
      for (std::int64_t step = directory.latest_step() + 1;; ++step) publish(directory, step);
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(lifetime(random)));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const std::int64_t step = expect_whole(temporary.path());
    ASSERT_GE(step, last);
    last = step;
  }
  EXPECT_GT(last, 1) << "no child lived long enough to publish";
}

TEST(RunDirectoryCrash, WriteErrorAnywhere) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path());
  publish(directory, 1);
  const auto whole = names_in(temporary.path());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t size : {0, 1, 9, 100, 4096, 65'000, 65'600}) {
    const rlimit tight{size, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    EXPECT_ANY_THROW(publish(directory, 2)) << size;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(names_in(temporary.path()), whole) << size;
    EXPECT_THAT(names_in(directory.scratch()), testing::IsEmpty()) << size;
    EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 1) << size;
  }
  std::signal(SIGXFSZ, old_handler);
  publish(directory, 2);
  EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 2);
}

#ifdef __linux__

/// Lets the child run up to its `stop`-th entry into or return from the kernel, then kills it.
/// False when it ended before.
bool kill_at_system_call(pid_t child, int stop) {
  int status = 0;
  ::waitpid(child, &status, 0);  // Its own SIGSTOP.
  for (int i = 0; i < stop; ++i) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return false;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return true;
}

bool may_trace() {
  return in_child([] {
           if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kNotPermitted);
         }) == 0;
}

TEST(RunDirectoryCrash, KilledAtEverySystemCall) {
  if (!may_trace()) GTEST_SKIP() << "ptrace is not permitted here";
  const TemporaryDirectory temporary(fast_directory());
  const fs::path path = temporary / "run";
  bool seen_old = false;
  bool seen_new = false;
  for (int stop = 0;; ++stop) {
    SCOPED_TRACE(testing::Message() << "killed at stop " << stop);
    fs::remove_all(path);
    {
      OpenRun directory(path);
      publish(directory, 1);
    }
    put(path / "notes.txt", "mine");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      std::raise(SIGSTOP);
      OpenRun directory(path);
      publish(directory, 2);
      ::_exit(0);
    }
    const bool killed = kill_at_system_call(child, stop);
    const std::int64_t step = expect_whole(path);
    seen_old = seen_old || step == 1;
    seen_new = seen_new || step == 2;
    ASSERT_TRUE(step == 1 || step == 2);
    ASSERT_TRUE(killed || step == 2) << "the child failed";
    if (!killed) {
      ASSERT_GT(stop, 50);
      break;
    }
    OpenRun directory(path);
    publish(directory, 3);
    ASSERT_EQ(step_of_whole_checkpoint(path), 3);
    ASSERT_EQ(std::ranges::count_if(
                  names_in(path), [](const auto& name) { return name.starts_with("checkpoint-"); }),
              1);
  }
  EXPECT_TRUE(seen_old && seen_new);
}

TEST(RunDirectoryCrash, ABeginningKilledAtEverySystemCallCanBeBegunAgain) {
  if (!may_trace()) GTEST_SKIP() << "ptrace is not permitted here";
  const TemporaryDirectory temporary(fast_directory());
  const fs::path path = temporary / "run";
  for (int stop = 0;; ++stop) {
    SCOPED_TRACE(testing::Message() << "killed at stop " << stop);
    fs::remove_all(path);
    fs::create_directory(path);
    put(path / ".tmp-draft", "mine");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      std::raise(SIGSTOP);
      RunDirectory directory(path, kBegin);
      directory.replace_folder("tokens", [](const fs::path& folder) {
        return std::vector{write_file_atomically(folder / "tokens_000000.bin", "tokens")};
      });
      ::_exit(0);
    }
    const bool killed = kill_at_system_call(child, stop);
    { const RunDirectory directory(path, kBegin); }
    ASSERT_THAT(names_in(path), testing::ElementsAre(".tmp-draft"));
    ASSERT_EQ(contents_of(path / ".tmp-draft"), "mine");
    if (!killed) {
      ASSERT_GT(stop, 50);
      break;
    }
  }
}

/// Publishes step 2 with ever more room (`take` gets how much to leave) until it fits.
template <class Take>
void expect_whole_until_it_fits(const fs::path& path, int most, Take take) {
  int failures = 0;
  for (int room = 0; room <= most; ++room) {
    SCOPED_TRACE(testing::Message() << "room " << room);
    std::error_code ignored;
    fs::remove_all(path / "run", ignored);
    OpenRun directory(path / "run");
    publish(directory, 1);
    take(room);
    std::string problem;
    std::vector<std::string> warnings;
    try {
      warnings = publish(directory, 2);
    } catch (const std::exception& error) {
      problem = error.what();
    }
    fs::remove_all(path / "ballast");
    const std::int64_t step = directory.latest_step();
    EXPECT_EQ(step_of_whole_checkpoint(RunDirectory::find_whole(path / "run").value()), step);
    step_of_whole_checkpoint(path / "run/latest");
    EXPECT_THAT(names_in(directory.scratch()), testing::IsEmpty());
    EXPECT_EQ(step, problem.empty() ? 2 : 1) << problem;
    if (problem.empty() && warnings.empty()) {
      EXPECT_EQ(step_of_whole_checkpoint(path / "run"), 2);
      EXPECT_GT(failures, 3);
      return;
    }
    ++failures;
  }
  ADD_FAILURE() << "never fitted";
}

TEST(RunDirectoryCrash, DiskFullAtEveryBlock) {
  const TemporaryDirectory temporary;
  const int code = in_child([&] {
    mount_small_file_system(temporary.path(), "size=1m");
    expect_whole_until_it_fits(temporary.path(), 200, [&](int room) {
      const auto free = fs::space(temporary.path()).available / 4096;
      put(temporary / "ballast",
          std::string((free - static_cast<std::uintmax_t>(room)) * 4096, 'x'));
    });
  });
  if (code == kNotPermitted) GTEST_SKIP() << "mounting is not permitted here";
  EXPECT_EQ(code, 0);
}

TEST(RunDirectoryCrash, NoMoreFilesAtEveryFile) {
  const TemporaryDirectory temporary;
  const int code = in_child([&] {
    mount_small_file_system(temporary.path(), "size=4m,nr_inodes=40");
    expect_whole_until_it_fits(temporary.path(), 40, [&](int room) {
      fs::create_directory(temporary / "ballast");
      int made = 0;
      while (std::ofstream(temporary / "ballast" / std::to_string(made))) ++made;
      for (; room > 0 && made > 0; --room) {
        fs::remove(temporary / "ballast" / std::to_string(--made));
      }
    });
  });
  if (code == kNotPermitted) GTEST_SKIP() << "mounting is not permitted here";
  EXPECT_EQ(code, 0);
}

#endif

}  // namespace
}  // namespace cajal::train
