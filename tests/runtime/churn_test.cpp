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
  const std::size_t threads = entries("/proc/self/task");
  const std::size_t files = entries("/proc/self/fd");
  const std::size_t bytes = device->allocated_bytes();
  const std::size_t resident = resident_kib();
  for (int i = all / 3; i < all; ++i) use_and_drop(device, buffer);
  RecordProperty("rounds", all);
  EXPECT_EQ(entries("/proc/self/task"), threads);
  EXPECT_EQ(entries("/proc/self/fd"), files);
  EXPECT_EQ(device->allocated_bytes(), bytes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // A kilobyte a queue would be seen; the allocator's own pools may still settle.
  EXPECT_LT(resident_kib(), resident + static_cast<std::size_t>(all) / 4 + 2048);
#else
  static_cast<void>(resident);
#endif
}

}  // namespace
}  // namespace cajal::test
