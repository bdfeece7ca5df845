// Opening a CUDA card, its memory, and copies to and from it.
#include "cuda_fixture.h"

namespace cajal::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class CudaDevice : public CudaQueueTest {};

TEST_F(CudaDevice, DescribesTheCard) {
  const DeviceInfo& info = device->info();
  EXPECT_EQ(device->kind(), DeviceKind::cuda);
  EXPECT_THAT(info.name, ::testing::StartsWith("cuda:"));
  EXPECT_FALSE(info.description.empty());
  EXPECT_GT(info.memory_bytes, std::size_t{1} << 30);
  EXPECT_GT(info.memory_available, 0U);
  EXPECT_LT(info.memory_available, info.memory_bytes);
  EXPECT_TRUE(info.supports_bf16);
  EXPECT_EQ(info.bf16_remedy, "");
  EXPECT_FALSE(info.shares_host_memory);
  EXPECT_EQ(info.threads, 0);
  EXPECT_THAT(Device::backends(), Contains("cuda"));
}

TEST_F(CudaDevice, OpensByNumber) {
  EXPECT_EQ(Device::open("cuda")->info().name, "cuda:0");
  EXPECT_EQ(Device::open("cuda:0")->info().name, "cuda:0");
  EXPECT_EQ(Device::open("cuda:0")->info().description, Device::open("cuda")->info().description);
}

TEST_F(CudaDevice, RefusesNumbersThatAreNone) {
  for (const char* name : {"cuda:", "cuda:x", "cuda:-1", "cuda:0x", "cuda: 0", "cuda:0.5",
                           "cuda:+1", "cuda:99999999999999999999"}) {
    EXPECT_THROW(Device::open(name), InvalidArgument) << name;
    EXPECT_THAT(error_of([&] { Device::open(name); }),
                AllOf(HasSubstr(name), HasSubstr("cuda:N for the card number N")));
  }
  EXPECT_THROW(Device::open("cuda:4096"), InvalidArgument);
  EXPECT_THAT(error_of([] { Device::open("cuda:4096"); }),
              AllOf(HasSubstr("no cuda:4096"), HasSubstr("--device cuda:N")));
  EXPECT_THROW(Device::open("cuda0"), InvalidArgument);
}

TEST_F(CudaDevice, AllocatesAlignedMemoryAndAccountsForIt) {
  const auto fresh = Device::open(::cajal::testing::cuda_device_name());
  {
    const Buffer a = fresh->allocate(1000, "a");
    const Buffer b = fresh->allocate(1, "b");
    for (const Buffer& buffer : {a, b}) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.device_data<std::byte>()) % 256, 0U);
    }
    EXPECT_FALSE(a.overlaps(b));
    EXPECT_EQ(fresh->allocated_bytes(), 1001U);
  }
  EXPECT_EQ(fresh->allocated_bytes(), 0U);
  EXPECT_EQ(fresh->peak_bytes(), 1001U);
  EXPECT_EQ(fresh->allocate(0, "nothing").size(), 0U);
}

TEST_F(CudaDevice, SaysWhatDoesNotFitAndGoesOn) {
  const std::size_t all = device->info().memory_bytes;
  EXPECT_THAT(error_of([&] { device->allocate(all + 1, "more than all"); }),
              AllOf(HasSubstr("'more than all'"), HasSubstr("smaller batch")));
  // Less than the card has, more than the driver leaves.
  EXPECT_THAT(error_of([&] { device->allocate(all - 1, "all but a byte"); }),
              AllOf(HasSubstr("'all but a byte'"), HasSubstr("no room")));
  EXPECT_EQ(device->allocated_bytes(), 0U);
  const Buffer small = ints_of({1, 2, 3});
  EXPECT_EQ(read(small), (Ints{1, 2, 3}));
}

TEST_F(CudaDevice, BuffersAndBlocksOutliveIt) {
  const Buffer buffer = ints_of({5});
  const auto block = device->staging(64);
  queue.reset();
  device.reset();
  std::memset(block->data, 1, 64);
  EXPECT_EQ(block->data[63], std::byte{1});
  EXPECT_NE(buffer.device_data<std::byte>(), nullptr);
}

TEST_F(CudaDevice, MemoryThatWasReleasedServesAgain) {
  // Four times what the card has, in turn.
  const std::size_t quarter = device->info().memory_available / 4;
  for (int i = 0; i < 16; ++i) {
    const Buffer large = device->allocate(quarter, "large");
    const Buffer end = large.slice(quarter / 4 * 4 - 4, 4);
    write(end, {i});
    EXPECT_EQ(read(end), (Ints{i}));
  }
}

TEST_F(CudaDevice, HostCannotLookIntoItsMemory) {
  const Buffer buffer = ints(1);
  EXPECT_THAT(error_of([&] { buffer.host_read<std::int32_t>(); }), HasSubstr("ints"));
  EXPECT_THROW(buffer.host_write<std::int32_t>(), Error);
}

std::vector<std::byte> random_bytes(std::size_t count, std::mt19937_64& random) {
  std::vector<std::uint64_t> words(count / sizeof(std::uint64_t) + 1);
  for (std::uint64_t& word : words) word = random();
  std::vector<std::byte> bytes(count);
  std::memcpy(bytes.data(), words.data(), count);
  return bytes;
}

TEST_F(CudaDevice, CopiesEverySizeFromAndToEveryPlace) {
  auto random = fresh_random();
  const auto copy = [&](std::size_t size, std::size_t offset) {
    const std::size_t whole = offset + size + 7;
    const auto before = random_bytes(whole, random);
    const auto part = random_bytes(size, random);
    const Buffer buffer = device->allocate(whole, "bytes");
    queue->write(before, buffer, WaitReason::evaluation);
    queue->write(part, buffer.slice(offset, size), WaitReason::evaluation);

    auto want = before;
    std::copy(part.begin(), part.end(), want.begin() + static_cast<std::ptrdiff_t>(offset));
    std::vector<std::byte> got(whole);
    queue->read(buffer, got, WaitReason::evaluation);
    ASSERT_TRUE(got == want) << size << " bytes at " << offset;
    std::vector<std::byte> back(size);
    queue->read(buffer.slice(offset, size), back, WaitReason::evaluation);
    ASSERT_TRUE(back == part) << size << " bytes at " << offset;
  };
  // Around the limit of the copy kernel.
  for (const std::size_t size :
       {1UL, 2UL, 3UL, 4UL, 15UL, 16UL, 17UL, 4095UL, 65535UL, 65536UL, 65537UL, 1'000'003UL}) {
    for (const std::size_t offset : {0UL, 1UL, 4UL, 16UL}) copy(size, offset);
  }
  copy((64UL << 20) + 13, 3);  // More than one of the blocks that pieces pass through.
}

/// Twelve upload blocks and downloads in one commit: more than one launch of the copy kernel takes.
TEST_F(CudaDevice, ManyTransfersGoWithOneCommit) {
  constexpr std::size_t kCount = 12;
  std::vector<Buffer> buffers;
  Submission submission;
  std::vector<std::shared_ptr<HostBlock>> results;
  const auto commands = queue->command_buffer("fold each");
  const Buffer one = ints_of({1});
  for (std::size_t i = 0; i < kCount; ++i) {
    buffers.push_back(ints(1));
    const auto up = device->staging(4);
    const auto value = static_cast<std::int32_t>(100 * i);
    std::memcpy(up->data, &value, 4);
    submission.uploads.push_back({up, buffers.back()});
    results.push_back(device->staging(4));
    submission.downloads.push_back({buffers.back(), results.back()});
    commands->encode("fold", {{buffers.back(), Access::read_write}, {one, Access::read}},
                     cuda_folds(buffers.back(), one, 3));
  }
  queue->wait(queue->commit(commands, std::move(submission)), WaitReason::evaluation);
  for (std::size_t i = 0; i < kCount; ++i) {
    std::int32_t got = 0;
    std::memcpy(&got, results[i]->data, 4);
    EXPECT_EQ(got, static_cast<std::int32_t>(300 * i + 1));
  }
}

/// Without the backend, or with it: one of these runs everywhere.
TEST(CudaBackend, IsListedWhereItIsBuiltIn) {
  const auto reason = ::cajal::testing::why_skipped(::cajal::testing::cuda_device_name());
  const auto backends = Device::backends();
  if (!reason) {
    EXPECT_THAT(backends, Contains("cuda"));
    return;
  }
  EXPECT_THAT(*reason, HasSubstr("--device cpu"));
  if (reason->find("no cuda backend") != std::string::npos) {
    EXPECT_THAT(backends, Not(Contains("cuda")));
  }
}

}  // namespace
}  // namespace cajal::test
