// Edits: what is written, what is kept, what is put back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "sync/backup.h"
#include "sync/edits.h"
#include "sync/scan.h"
#include "sync/verify.h"

namespace cajal::sync::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string metal(const std::string& body, const std::string& ending = "\n") {
  std::string text = R"(#import <Foundation/Foundation.h>
#import <Metal/Metal.h>
@interface Model : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@end
@implementation Model
)" + body + "@end\n";
  if (ending == "\n") return text;
  std::string out;
  for (const char c : text) out += c == '\n' ? ending : std::string(1, c);
  return out;
}

/// One command buffer named `name` that reads a and writes b, committed.
std::string pass(const std::string& name) {
  return "  id<MTLCommandBuffer> " + name + " = [self.queue commandBuffer];\n" +
         "  id<MTLComputeCommandEncoder> e" + name + " = [" + name + " computeCommandEncoder];\n" +
         "  [e" + name + " setBuffer:self.a offset:0 atIndex:0];\n" + "  [e" + name +
         " setBuffer:self.b offset:0 atIndex:1];\n" + "  [e" + name + " endEncoding];\n" + "  [" +
         name + " commit];\n";
}

Fix fix_of(const std::string& path, const std::string& text, const FixOptions& options = {}) {
  return plan_fix(scan_text(path, text, options.scan), options);
}

unsigned line_of(const std::string& text, const std::string& part) {
  const auto at = static_cast<std::ptrdiff_t>(text.find(part));
  return static_cast<unsigned>(std::count(text.begin(), text.begin() + at, '\n')) + 1;
}

const std::string kTwoPasses =
    metal("- (float)run {\n" + pass("one") + "  [one waitUntilCompleted];\n" + pass("two") +
          "  [two waitUntilCompleted];\n  return ((float*)self.b.contents)[0];\n}\n");

TEST(Fix, TheHandlerReportsStatusAndErrorWithFunctionAndLine) {
  const Fix fix = fix_of("model.mm", kTwoPasses);
  EXPECT_EQ(fix.removed, 1);
  EXPECT_THAT(fix.after, HasSubstr("[one addCompletedHandler:"));
  EXPECT_THAT(fix.after, HasSubstr("@\"run:%d: command buffer failed, status %lu: %@\", __LINE__"));
  EXPECT_THAT(fix.after, HasSubstr("done.error"));
  EXPECT_THAT(fix.after, Not(HasSubstr("[one waitUntilCompleted]")));
  EXPECT_THAT(fix.after, HasSubstr("[two waitUntilCompleted]"));
}

TEST(Fix, LineEndingsAndForeignBytesStay) {
  const std::string text = metal(
      "// caf\xe9\n- (float)run {\n" + pass("one") + "  [one waitUntilCompleted];\n" + pass("two") +
          "  [two waitUntilCompleted];\n" + "  return ((float*)self.b.contents)[0];\n}\n",
      "\r\n");
  const Fix fix = fix_of("model.mm", text);
  ASSERT_EQ(fix.removed, 1);
  EXPECT_THAT(fix.after, HasSubstr("caf\xe9"));
  for (std::size_t at = fix.after.find('\n'); at != std::string::npos;
       at = fix.after.find('\n', at + 1)) {
    ASSERT_EQ(fix.after[at - 1], '\r') << "at byte " << at;
  }
}

TEST(Fix, AHandlerThatReportsIsNotDoubled) {
  std::string text = kTwoPasses;
  text.insert(text.find("  [one commit]"),
              "  [one addCompletedHandler:^(id<MTLCommandBuffer> cb) {\n"
              "    if (cb.error) NSLog(@\"%@\", cb.error);\n  }];\n");
  const Fix fix = fix_of("model.mm", text);
  EXPECT_EQ(fix.removed, 1);
  EXPECT_EQ(fix.after.find("addCompletedHandler"), fix.after.rfind("addCompletedHandler"));
}

TEST(Fix, OnlyTheChosenLines) {
  const std::string text =
      metal("- (float)run {\n" + pass("one") + "  [one waitUntilCompleted];\n" + pass("two") +
            "  [two waitUntilCompleted];\n" + pass("three") +
            "  [three waitUntilCompleted];\n  return ((float*)self.b.contents)[0];\n}\n");
  FixOptions options;
  options.only = {line_of(text, "[two waitUntilCompleted]")};
  const Fix fix = fix_of("model.mm", text, options);
  EXPECT_EQ(fix.removed, 1);
  EXPECT_THAT(fix.after, HasSubstr("[one waitUntilCompleted]"));
  EXPECT_THAT(fix.after, Not(HasSubstr("[two waitUntilCompleted]")));
  options.only = {line_of(text, "[three waitUntilCompleted]")};
  EXPECT_EQ(fix_of("model.mm", text, options).after, text);
}

TEST(Fix, ABodyWithoutBracesKeepsItsWait) {
  const std::string text = R"(#include <cuda_runtime.h>
__global__ void work(float* x) { x[0] += 1; }
void run(float* x, bool wait, float* host) {
  work<<<1, 1>>>(x);
  if (wait)
    cudaDeviceSynchronize();
  work<<<1, 1>>>(x);
  cudaMemcpy(host, x, 4, cudaMemcpyDeviceToHost);
}
)";
  const Fix fix = fix_of("run.cu", text);
  EXPECT_THAT(fix.after, HasSubstr("if (wait)\n    cudaPeekAtLastError();\n"));
}

TEST(Fix, ACheckAroundTheWaitStays) {
  const std::string text = R"(#include <cuda_runtime.h>
#define CHECK(call) do { if ((call) != cudaSuccess) __builtin_trap(); } while (0)
__global__ void work(float* x) { x[0] += 1; }
void run(float* x, float* host) {
  work<<<1, 1>>>(x);
  CHECK(cudaDeviceSynchronize());
  work<<<1, 1>>>(x);
  CHECK(cudaMemcpy(host, x, 4, cudaMemcpyDeviceToHost));
}
)";
  EXPECT_THAT(fix_of("run.cu", text).after, HasSubstr("CHECK(cudaPeekAtLastError());"));
}

TEST(Fix, BatchJoinsNeighbours) {
  FixOptions options;
  options.batch = true;
  const Fix fix = fix_of("model.mm", kTwoPasses, options);
  EXPECT_EQ(fix.joined, 1);
  EXPECT_THAT(fix.after, HasSubstr("id<MTLCommandBuffer> two = one;"));
  EXPECT_THAT(fix.after, Not(HasSubstr("[one commit]")));
  EXPECT_EQ(fix_of("model.mm", fix.after, options).after, fix.after);
}

TEST(Fix, BatchLeavesWhatTheHostLooksAt) {
  FixOptions options;
  options.batch = true;
  for (const char* between : {"  if (one.status == MTLCommandBufferStatusError) return 0;\n",
                              "  [self report];\n", "  ((float*)self.a.contents)[0] = 1;\n",
                              "  dispatch_semaphore_wait(self.slots, DISPATCH_TIME_FOREVER);\n"}) {
    const std::string text = metal(
        "- (void)report {\n  NSLog(@\"%f\", ((float*)self.b.contents)[0]);\n}\n"
        "- (float)run {\n" +
        pass("one") + between + pass("two") +
        "  [two waitUntilCompleted];\n  return ((float*)self.b.contents)[0];\n}\n");
    EXPECT_EQ(fix_of("model.mm", text, options).joined, 0) << between;
  }
}

TEST(Fix, BatchNeedsTheSecondCommitOnEveryPath) {
  FixOptions options;
  options.batch = true;
  std::string text =
      metal("- (float)run:(int)n {\n" + pass("one") + pass("two") +
            "  [two waitUntilCompleted];\n  return ((float*)self.b.contents)[0];\n}\n");
  text.insert(text.find("  [two commit]"), "  if (n > 3) return 0;\n");
  EXPECT_EQ(fix_of("model.mm", text, options).joined, 0);
}

TEST(Fix, StrategicFunctionKeepsAWaitBeforeEveryReturn) {
  const std::string text =
      metal("- (void)forward {\n" + pass("one") + "  [one waitUntilCompleted];\n}\n" +
            "- (float)run {\n  [self forward];\n" + pass("two") +
            "  [two waitUntilCompleted];\n  return ((float*)self.b.contents)[0];\n}\n");
  EXPECT_EQ(fix_of("model.mm", text).removed, 1);
  FixOptions options;
  options.strategic = Strategic::function;
  options.scan.functions_wait = true;
  EXPECT_EQ(fix_of("model.mm", text, options).after, text);
}

TEST(Fix, StrategicLoopBoundsALoopThatNeverWaits) {
  const std::string text =
      metal("- (void)run:(int)n {\n  for (int i = 0; i < n; ++i) {\n" + pass("one") + "  }\n}\n");
  EXPECT_EQ(fix_of("model.mm", text).after, text);
  FixOptions options;
  options.strategic = Strategic::loop;
  const Fix fix = fix_of("model.mm", text, options);
  EXPECT_EQ(fix.added, 1);
  EXPECT_THAT(fix.after, HasSubstr("  [one commit];\n  [one waitUntilCompleted];\n"));
  EXPECT_EQ(fix_of("model.mm", fix.after, options).after, fix.after);
}

class FixedFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("cajal-sync-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "model.mm").string();
    write(kTwoPasses);
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }
  std::string mend() const {
    const Fix fix = fix_of(path_, read_file(path_));
    return write_with_backup(path_, fix.before, fix.after);
  }
  Verification verified() const { return verify(scan_text(path_, read_file(path_), {}), {}); }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(FixedFile, RestoreGivesBackEveryByte) {
  EXPECT_EQ(mend(), path_ + ".backup");
  EXPECT_NE(read_file(path_), kTwoPasses);
  restore(path_);
  EXPECT_EQ(read_file(path_), kTwoPasses);
  EXPECT_THROW(restore(path_), Failure);
}

TEST_F(FixedFile, ABackupIsNeverOverwritten) {
  mend();
  const std::string first = read_file(path_ + ".backup");
  write(kTwoPasses + "// more\n");
  EXPECT_EQ(mend(), path_ + ".backup.1");
  EXPECT_EQ(read_file(path_ + ".backup"), first);
}

TEST_F(FixedFile, RestoreRefusesWhatWasEditedSince) {
  mend();
  const std::string edited = read_file(path_) + "// mine\n";
  write(edited);
  try {
    restore(path_);
    FAIL() << "restored over an edit";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("-// mine"));
  }
  EXPECT_EQ(read_file(path_), edited);
}

TEST_F(FixedFile, RestoreRefusesABackupThatIsNotTheOriginal) {
  const std::string backup = mend();
  std::ofstream(backup, std::ios::app) << "x";
  EXPECT_THROW(restore(path_), Failure);
}

TEST_F(FixedFile, PermissionsAndLinksStay) {
  std::filesystem::permissions(path_, std::filesystem::perms(0640));
  const auto link = folder_ / "link.mm";
  std::filesystem::create_symlink(path_, link);
  const Fix fix = fix_of(path_, kTwoPasses);
  write_atomically(link.string(), fix.after);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(read_file(path_), fix.after);
  EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms(0640));
}

TEST_F(FixedFile, VerifyIsContentWithWhatFixWrites) {
  mend();
  const Verification found = verified();
  EXPECT_TRUE(found.good) << found.text;
  EXPECT_THAT(found.text, HasSubstr("waitUntilCompleted left: 1"));
  EXPECT_THAT(found.text, HasSubstr("addCompletedHandler present: 1"));
}

TEST_F(FixedFile, VerifyFindsASilencedError) {
  mend();
  std::string text = read_file(path_);
  const std::size_t begin = text.find("  [one addCompletedHandler");
  text.erase(begin, text.find("  [one commit]") - begin);
  write(text);
  const Verification found = verified();
  EXPECT_FALSE(found.good);
  EXPECT_THAT(found.text, HasSubstr("run: one"));
}

TEST_F(FixedFile, VerifyFindsAnEmptyHandler) {
  std::string text = kTwoPasses;
  text.replace(text.find("  [one waitUntilCompleted];\n"), 28, "");
  text.insert(text.find("  [one commit]"),
              "  [one addCompletedHandler:^(id<MTLCommandBuffer> cb) {}];\n");
  write(text);
  EXPECT_FALSE(verified().good);
}

TEST_F(FixedFile, VerifyFindsAConflict) {
  std::string text = kTwoPasses;
  text.replace(text.find("  [two waitUntilCompleted];\n"), 28, "");
  write(text);
  const Verification found = verified();
  EXPECT_FALSE(found.good);
  EXPECT_THAT(found.text, HasSubstr("reads `self.b`"));
}

}  // namespace
}  // namespace cajal::sync::testing
