// Queues that come and go: nothing of them stays.
#include <dirent.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "device_fixture.h"
#include "support.h"

namespace cajal::test {
namespace {

// A sanitizer keeps books of its own in this process's memory.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

/// CAJAL_CHURN asks for more than a test needs.
int rounds() {
  const char* const asked = std::getenv("CAJAL_CHURN");
  return asked == nullptr ? 300 : std::atoi(asked);
}

std::size_t entries(const char* folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder), &::closedir);
  std::size_t count = 0;
  while (open && ::readdir(open.get()) != nullptr) ++count;
  return count;
}

/// A thread that has been joined is listed for a moment still.
std::size_t threads_after_settling(std::size_t at_most) {
  for (int tries = 0; tries < 50 && entries("/proc/self/task") > at_most; ++tries) {
    std::this_thread::sleep_for(2ms);
  }
  return entries("/proc/self/task");
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtoul(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

/// A queue that has committed, replayed, copied and completed.
void use_and_drop(const std::shared_ptr<Device>& device, const Buffer& buffer) {
  CommandQueue queue(device);
  const auto commands = queue.command_buffer("step");
  commands->encode("nothing", {{buffer, Access::read_write}}, [](ExecutionContext&) {});
  for (int i = 0; i < 3; ++i) {
    const auto block = device->staging(buffer.size());
    queue.commit(commands, {.uploads = {{block, buffer}}, .downloads = {{buffer, block}}});
  }
}

using Churn = ::cajal::testing::DeviceTest;

TEST_F(Churn, QueuesLeaveNothingBehind) {
  if (entries("/proc/self/task") == 0) GTEST_SKIP() << "no /proc to count in";
  const auto device = ::cajal::testing::open_test_device();
  const Buffer buffer = device->allocate(4096, "data");
  const int all = rounds();
  for (int i = 0; i < all / 3; ++i) use_and_drop(device, buffer);
  const std::size_t threads = threads_after_settling(1);
  const std::size_t files = entries("/proc/self/fd");
  const std::size_t bytes = device->allocated_bytes();
  const std::size_t resident = resident_kib();
  for (int i = all / 3; i < all; ++i) use_and_drop(device, buffer);
  RecordProperty("rounds", all);
  EXPECT_LE(threads_after_settling(threads), threads);
  EXPECT_EQ(entries("/proc/self/fd"), files);
  EXPECT_EQ(device->allocated_bytes(), bytes);
  // A kilobyte a queue would be seen; the allocator's own pools may still settle.
  const std::size_t allowed = resident + static_cast<std::size_t>(all) / 4 + 2048;
  if (!kSanitized) {
    EXPECT_LT(resident_kib(), allowed);
  }
}

}  // namespace
}  // namespace cajal::test
