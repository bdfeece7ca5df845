// Where an option's value comes from: the command line, the resumed run, the device, the preset.
#include "train/settings.h"

#include <gtest/gtest.h>

namespace cajal::train {
namespace {

TrainOptions on(const char* device) {
  TrainOptions options;
  options.device = device;
  return options;
}

TEST(Settings, TheTypeFollowsTheDevice) {
  EXPECT_EQ(resolve_settings(on("cpu"), nullptr).dtype, DType::f32);
  EXPECT_EQ(resolve_settings(on("cuda"), nullptr).dtype, DType::bf16);
  EXPECT_EQ(resolve_settings(on("cuda:3"), nullptr).dtype, DType::bf16);
}

TEST(Settings, AGivenTypeWins) {
  auto options = on("cuda");
  options.dtype = DType::f32;
  EXPECT_EQ(resolve_settings(options, nullptr).dtype, DType::f32);
  options = on("cpu");
  options.dtype = DType::bf16;
  EXPECT_EQ(resolve_settings(options, nullptr).dtype, DType::bf16);
}

TEST(Settings, AResumedRunKeepsItsTypeOnAnyDevice) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::fp8}) {
    Settings saved = resolve_settings(on("cpu"), nullptr);
    saved.dtype = dtype;
    const Settings read = settings_from_json(to_json(saved));
    EXPECT_EQ(resolve_settings(on("cuda"), &read).dtype, dtype);
    EXPECT_EQ(resolve_settings(on("cpu"), &read).dtype, dtype);
    EXPECT_TRUE(check_resumed(saved, resolve_settings(on("cuda"), &read)).empty());
  }
}

}  // namespace
}  // namespace cajal::train
