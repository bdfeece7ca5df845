#include "cajal/device.h"

#include <algorithm>

#include "support.h"

namespace cajal::test {
namespace {

using ::testing::HasSubstr;

TEST(Device, DescribesTheProcessor) {
  const auto device = Device::open("cpu");
  const DeviceInfo& info = device->info();
  EXPECT_EQ(device->kind(), DeviceKind::cpu);
  EXPECT_EQ(info.name, "cpu");
  EXPECT_FALSE(info.description.empty());
  EXPECT_GT(info.memory_bytes, 0U);
  EXPECT_GT(info.memory_available, 0U);
  EXPECT_LE(info.memory_available, info.memory_bytes);
  EXPECT_GE(info.threads, 1);
  EXPECT_LE(info.threads, static_cast<int>(std::thread::hardware_concurrency()));
  EXPECT_TRUE(info.shares_host_memory);
  EXPECT_EQ(info.supports_bf16, info.bf16_remedy.empty());
  EXPECT_FALSE(device->peak_flops(DType::f32).has_value());
}

TEST(Device, NamesWhatThisBuildLacks) {
  const auto backends = Device::backends();
  if (std::find(backends.begin(), backends.end(), "cuda") == backends.end()) {
    EXPECT_THAT(error_of([] { Device::open("cuda"); }),
                HasSubstr("this build has no cuda backend; use --device cpu"));
    EXPECT_THAT(error_of([] { Device::open("cuda:1"); }), HasSubstr("no cuda backend"));
  }
  EXPECT_THAT(error_of([] { Device::open("metal"); }), HasSubstr("no metal backend"));
  EXPECT_THAT(error_of([] { Device::open("abacus"); }), HasSubstr("'abacus'"));
  EXPECT_THROW(Device::open(""), InvalidArgument);
}

TEST(Device, TakesAThreadCount) {
  EXPECT_EQ(Device::open("cpu", {.threads = 3})->info().threads, 3);
  EXPECT_THROW(Device::open("cpu", {.threads = -1}), InvalidArgument);
  EXPECT_THROW(Device::open("cpu", {.threads = 1'000'000}), InvalidArgument);
}

TEST(Device, AllocatesAlignedMemory) {
  const auto device = Device::open("cpu");
  for (const std::size_t bytes : {1UL, 63UL, 64UL, 65UL, 1'000'003UL}) {
    const Buffer buffer = device->allocate(bytes, "aligned");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.device_data<std::byte>()) % 64, 0U);
    std::memset(buffer.host_write<std::byte>().data(), 0xff, bytes);
  }
  EXPECT_EQ(device->allocate(0, "nothing").size(), 0U);
}

TEST(Device, AccountsForItsMemory) {
  const auto device = Device::open("cpu");
  {
    const Buffer a = device->allocate(1000, "a");
    const Buffer same = a;
    EXPECT_EQ(device->allocated_bytes(), 1000U);
    const Buffer b = device->allocate(500, "b");
    EXPECT_EQ(device->allocated_bytes(), 1500U);
  }
  EXPECT_EQ(device->allocated_bytes(), 0U);
  EXPECT_EQ(device->peak_bytes(), 1500U);
  EXPECT_FALSE(device->reserve(1000, "planned").device_data<std::byte>());
  EXPECT_EQ(device->allocated_bytes(), 0U);
}

TEST(Device, SaysWhatDoesNotFit) {
  const auto device = Device::open("cpu");
  EXPECT_THAT(error_of([&] { device->allocate(SIZE_MAX / 2, "logits"); }), HasSubstr("'logits'"));
  EXPECT_THROW(device->allocate(device->info().memory_bytes + 1, "all"), Error);
  EXPECT_EQ(device->allocated_bytes(), 0U);
}

TEST(Device, BuffersOutliveIt) {
  auto device = Device::open("cpu");
  const Buffer buffer = device->allocate(64, "orphan");
  const auto block = device->staging(64);
  device.reset();
  std::memset(buffer.host_write<std::byte>().data(), 1, 64);
  std::memset(block->data, 1, 64);
  EXPECT_EQ(buffer.host_read<std::byte>()[63], std::byte{1});
}

TEST(Staging, RecyclesBlocksThatNobodyHolds) {
  const auto device = Device::open("cpu");
  auto first = device->staging(1000);
  const std::byte* const data = first->data;
  EXPECT_GE(first->size, 1000U);
  const auto second = device->staging(1000);
  EXPECT_NE(second->data, data);
  first.reset();
  const auto third = device->staging(900);
  EXPECT_EQ(third->data, data);
  EXPECT_GE(third->size, 900U);
}

TEST(Staging, IsThreadSafe) {
  const auto device = Device::open("cpu");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const auto block = device->staging(static_cast<std::size_t>(64 + 64 * (i % 5)));
        std::memset(block->data, t, block->size);
        ASSERT_EQ(block->data[block->size - 1], static_cast<std::byte>(t));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace cajal::test
