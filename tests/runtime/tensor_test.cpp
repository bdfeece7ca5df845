#include "cajal/tensor.h"

#include <cmath>
#include <limits>

#include "support.h"

namespace cajal::test {
namespace {

TEST(Tensor, ChecksTheBuffersSize) {
  const auto device = Device::open("cpu");
  const Buffer buffer = device->allocate(24, "b");
  EXPECT_NO_THROW(Tensor(buffer, DType::f32, {2, 3}));
  EXPECT_NO_THROW(Tensor(buffer, DType::bf16, {3, 4}));
  EXPECT_THROW(Tensor(buffer, DType::f32, {3, 4}), InvalidArgument);
  EXPECT_THROW(Tensor(buffer, DType::f32, {-2, -3}), InvalidArgument);
  EXPECT_THROW(element_count({INT64_MAX, 2}), InvalidArgument);
}

TEST(Tensor, CountsAxesFromBothEnds) {
  const auto device = Device::open("cpu");
  const Tensor tensor(device->allocate(96, "t"), DType::i32, {2, 3, 4});
  EXPECT_EQ(tensor.dim(0), 2);
  EXPECT_EQ(tensor.dim(-1), 4);
  EXPECT_THROW(tensor.dim(3), InvalidArgument);
  EXPECT_THROW(tensor.dim(-4), InvalidArgument);
  EXPECT_EQ(to_string(tensor.shape), "[2, 3, 4]");
}

TEST(Tensor, ReshapesAndTakesRows) {
  const auto device = Device::open("cpu");
  const Tensor tensor(device->allocate(96, "t"), DType::f32, {6, 4});
  EXPECT_EQ(tensor.reshape({2, 12}).dim(1), 12);
  EXPECT_THROW(tensor.reshape({5, 5}), InvalidArgument);
  const Tensor rows = tensor.rows(2, 3);
  EXPECT_EQ(rows.shape, (Shape{3, 4}));
  EXPECT_EQ(rows.data<float>(), tensor.data<float>() + 8);
  EXPECT_NO_THROW(tensor.rows(6, 0));
  EXPECT_THROW(tensor.rows(4, 3), InvalidArgument);
  EXPECT_THROW(tensor.rows(-1, 1), InvalidArgument);
  EXPECT_THROW(tensor.rows(1, INT64_MAX), InvalidArgument);
}

TEST(DTypes, HaveNamesAndSizes) {
  EXPECT_EQ(name_of(DType::f32), "fp32");
  EXPECT_EQ(name_of(DType::bf16), "bf16");
  EXPECT_EQ(name_of(DType::i32), "int32");
  EXPECT_EQ(size_of(DType::bf16), 2U);
}

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(bfloat16(1.0F).bits, 0x3f80);
  EXPECT_EQ(bfloat16(1.00390625F).bits, 0x3f80);  // Halfway, to even.
  EXPECT_EQ(bfloat16(1.01171875F).bits, 0x3f82);  // Halfway, to even.
  EXPECT_EQ(bfloat16(1.0040F).bits, 0x3f81);
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isinf(static_cast<float>(bfloat16(std::numeric_limits<float>::max()))));
}

TEST(BFloat16, IsTheNearestOfItsNeighbours) {
  auto random = fresh_random();
  std::uniform_real_distribution<float> values(-1e4F, 1e4F);
  for (int i = 0; i < 10'000; ++i) {
    const float value = values(random);
    const bfloat16 rounded(value);
    const float distance = std::abs(static_cast<float>(rounded) - value);
    for (const int step : {-1, 1}) {
      bfloat16 neighbour = rounded;
      neighbour.bits = static_cast<std::uint16_t>(neighbour.bits + step);
      ASSERT_LE(distance, std::abs(static_cast<float>(neighbour) - value)) << value;
    }
  }
}

}  // namespace
}  // namespace cajal::test
