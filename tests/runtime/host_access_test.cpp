// The bug that cajal exists to prevent: the host touches memory that in-flight work uses.
#include "runtime/in_flight.h"
#include "runtime/memory_plan.h"
#include "support.h"

namespace cajal::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Three buffers of which in-flight work reads, writes and leaves alone one each. The check is
/// asked for, so that it is tested in every build.
class HostAccess : public ::testing::Test {
 protected:
  HostAccess() {
    buffer->encode("gate", {}, gate.kernel());
    buffer->encode("cross_entropy", {{read, Access::read}, {written, Access::write}}, nothing());
    bench.queue.begin_step(12);
    bench.queue.commit(buffer);
  }
  void finish() {
    gate.open();
    bench.queue.wait_idle(WaitReason::evaluation);
  }

  Bench bench{{}, {.check_host_access = true}};
  Gate gate;
  Buffer read = bench.ints(4, "logits");
  Buffer written = bench.ints(4, "loss");
  Buffer other = bench.ints(4, "other");
  std::shared_ptr<CommandBuffer> buffer = bench.queue.command_buffer("step");
};

TEST_F(HostAccess, MayNotReadWhatInFlightWorkWrites) {
  const std::string message = error_of([&] { written.host_read<std::int32_t>(); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("host reads"), HasSubstr("'loss'"), HasSubstr("'cross_entropy'"),
                    HasSubstr("step 12"), HasSubstr("writes")));
}

TEST_F(HostAccess, MayNotWriteWhatInFlightWorkReadsOrWrites) {
  const std::string message = error_of([&] { read.host_write<std::int32_t>(); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("host writes"), HasSubstr("'logits'"), HasSubstr("'cross_entropy'"),
                    HasSubstr("step 12"), HasSubstr("reads")));
  EXPECT_THROW(written.host_write<std::int32_t>(), Error);
}

TEST_F(HostAccess, MayReadWhatInFlightWorkReadsAndTouchTheRest) {
  EXPECT_NO_THROW(read.host_read<std::int32_t>());
  EXPECT_NO_THROW(other.host_read<std::int32_t>());
  EXPECT_NO_THROW(other.host_write<std::int32_t>());
}

TEST_F(HostAccess, IsFreeAgainOnceTheWorkIsDone) {
  finish();
  EXPECT_NO_THROW(written.host_write<std::int32_t>());
  EXPECT_NO_THROW(read.host_write<std::int32_t>());
}

TEST_F(HostAccess, LooksAtBytesNotAtWholeBuffers) {
  const auto upper = bench.queue.command_buffer("upper half");
  upper->encode("fill", {{other.slice(8, 8), Access::write}}, nothing());
  bench.queue.commit(upper);
  EXPECT_NO_THROW(other.slice(0, 8).host_write<std::int32_t>());
  EXPECT_THROW(other.slice(4, 8).host_write<std::int32_t>(), Error);
  EXPECT_THROW(other.host_read<std::int32_t>(), Error);
}

TEST_F(HostAccess, WatchesTransfersToo) {
  const auto block = bench.device->staging(16);
  bench.queue.commit(bench.queue.command_buffer("up"), {.uploads = {{block, other}}});
  EXPECT_THAT(error_of([&] { other.host_read<std::int32_t>(); }), HasSubstr("'upload'"));
}

TEST_F(HostAccess, WatchesEveryQueue) {
  CommandQueue second(bench.device);
  const auto set = second.command_buffer("set");
  set->encode("set", {{other, Access::write}}, sets(other, 1));
  second.wait(second.commit(set), WaitReason::evaluation);  // The same ticket as the gated one.
  EXPECT_THROW(written.host_read<std::int32_t>(), Error);
  EXPECT_NO_THROW(other.host_read<std::int32_t>());
}

TEST(HostAccessInArenas, SeesThroughAPlanThatSharesBytes) {
  Bench bench({}, {.check_host_access = true});
  const Buffer first = bench.device->reserve(64, "first");
  const Buffer second = bench.device->reserve(64, "second");
  const auto a = bench.queue.command_buffer("a");
  a->encode("write first", {{first, Access::write}}, nothing());
  const auto b = bench.queue.command_buffer("b");
  b->encode("write second", {{second, Access::write}}, nothing());
  MemoryPlan plan({a, b});
  plan.bind(*bench.device);
  ASSERT_TRUE(first.overlaps(second));

  Gate gate;
  const auto gated = bench.queue.command_buffer("gated");
  gated->encode("gate", {}, gate.kernel());
  bench.queue.commit(gated);
  bench.queue.commit(a);
  EXPECT_THAT(error_of([&] { second.host_read<std::int32_t>(); }),
              AllOf(HasSubstr("'second'"), HasSubstr("'write first'")));
}

TEST(HostAccessOff, ChecksNothingAndRegistersNothing) {
  Bench bench({}, {.check_host_access = false});
  Gate gate;
  const Buffer buffer = bench.ints(1);
  const auto commands = bench.queue.command_buffer("gated");
  commands->encode("gate", {}, gate.kernel());
  commands->encode("set", {{buffer, Access::write}}, nothing());
  bench.queue.commit(commands);
  EXPECT_NO_THROW(buffer.host_write<std::int32_t>());
}

TEST(HostAccessDefault, IsAsTheBuildSays) {
  EXPECT_EQ(Device::open("cpu")->checks_host_access(), CAJAL_CHECK_HOST_ACCESS != 0);
}

TEST(HostAccessBeforeBinding, IsAnError) {
  const auto device = Device::open("cpu");
  EXPECT_THAT(error_of([&] { device->reserve(64, "planned").host_read<std::int32_t>(); }),
              HasSubstr("no memory yet"));
  EXPECT_THROW(Buffer().host_read<std::int32_t>(), Error);
}

}  // namespace
}  // namespace cajal::test
