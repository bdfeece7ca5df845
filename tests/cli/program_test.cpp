// The program itself, as a process: exit codes, signals, and the checkpoint that they leave.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/runner.h"

namespace cajal::cli::testing {
namespace {

/// A running cajal whose standard output is read here and whose standard error is dropped.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
    std::vector<std::string> words{CAJAL_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
      ::close(ends[0]);
      ::execv(CAJAL_PROGRAM, pointers.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ::fdopen(ends[0], "r");
  }
  ~Program() {
    if (out_ != nullptr) std::fclose(out_);
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Reads until a line begins so; false at the end of the output.
  bool wait_for_line(const std::string& beginning) {
    char line[1024];
    while (std::fgets(line, sizeof line, out_) != nullptr) {
      if (std::string(line).starts_with(beginning)) return true;
    }
    return false;
  }
  void signal(int number) const { ::kill(process_, number); }
  void stop_reading() {
    std::fclose(out_);
    out_ = nullptr;
  }
  /// -1 when a signal ended it.
  int exit_code() {
    int status = 0;
    if (out_ != nullptr) wait_for_line("no such line");
    ::waitpid(process_, &status, 0);
    process_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t process_ = -1;
  std::FILE* out_ = nullptr;
};

class ProgramTest : public ::testing::Test {
 protected:
  std::vector<std::string> endless_run() {
    std::string text;
    for (int i = 0; i < 20000; ++i)
      text += "line " + std::to_string(i * 7919 % 10007) + " of the text\n";
    return {"train",        directory_.write("text.txt", text),
            "--out",        run().string(),
            "--vocab-size", "300",
            "--batch",      "1",
            "--seq",        "16",
            "--steps",      "1000000",
            "--eval-every", "0"};
  }
  std::filesystem::path run() const { return directory_.path() / "run"; }
  bool has_checkpoint() const {
    return std::filesystem::exists(run() / "model.safetensors") &&
           std::filesystem::exists(run() / "trainer_state.json");
  }
  TemporaryDirectory directory_;
};

TEST_F(ProgramTest, WrongFlagEndsWithTwo) {
  EXPECT_EQ(Program({"train", "--btach", "3"}).exit_code(), 2);
}

TEST_F(ProgramTest, VersionEndsWithZero) {
  Program program({"--version"});
  EXPECT_TRUE(program.wait_for_line("cajal "));
  EXPECT_EQ(program.exit_code(), 0);
}

TEST_F(ProgramTest, InterruptSavesAndEndsWith130) {
  Program program(endless_run());
  ASSERT_TRUE(program.wait_for_line("step 2/"));
  program.signal(SIGINT);
  EXPECT_EQ(program.exit_code(), 130);
  EXPECT_TRUE(has_checkpoint());
}

TEST_F(ProgramTest, TerminationSavesAndEndsWith143) {
  Program program(endless_run());
  ASSERT_TRUE(program.wait_for_line("step 2/"));
  program.signal(SIGTERM);
  EXPECT_EQ(program.exit_code(), 143);
  EXPECT_TRUE(has_checkpoint());
}

TEST_F(ProgramTest, ClosedOutputSavesAndEndsLikeAnyPipe) {
  Program program(endless_run());
  ASSERT_TRUE(program.wait_for_line("step 2/"));
  program.stop_reading();
  EXPECT_EQ(program.exit_code(), 141);
  EXPECT_TRUE(has_checkpoint());
}

}  // namespace
}  // namespace cajal::cli::testing
