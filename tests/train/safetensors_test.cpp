#include "train/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <random>

#include "cajal/error.h"
#include "model_folder.h"
#include "temporary_directory.h"

namespace cajal::train {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::vector<std::byte> random_bytes(std::size_t size, std::mt19937_64& random) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::string with_size(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t size = header.size();
  std::string file(sizeof(size), '\0');
  std::memcpy(file.data(), &size, sizeof(size));
  return file + header + std::string(data_bytes, 'x');
}

std::string problem_with(const std::string& file) {
  try {
    const auto bytes = std::as_bytes(std::span(file));
    const std::string source = "model.safetensors";
    const auto head = bytes.first(std::min(bytes.size(), kSafetensorsHead));
    const std::uint64_t header = safetensors_header_size(head, bytes.size(), source);
    parse_safetensors_header(file.substr(sizeof(header), header), bytes.size(), source);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// A header of one or two tensors, with a hole for what a test makes wrong.
std::string problem_with_header(const std::string& header, std::size_t data_bytes) {
  return problem_with(with_size(header, data_bytes));
}

TEST(Safetensors, ComesBackToTheBit) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto weight = random_bytes(3 * 5 * 4, random);
  const auto half = random_bytes(7 * 2, random);  // Odd, so that alignment needs the order.
  const auto count = random_bytes(4, random);
  const std::vector<NamedArray> arrays{{"half", DType::bf16, {7}, half},
                                       {"weight", DType::f32, {3, 5}, weight},
                                       {"count", DType::i32, {}, count},
                                       {"empty", DType::f32, {0, 4}, {}},
                                       {"ünïcode\n\"", DType::i32, {1, 1}, count}};
  const TemporaryDirectory directory;
  const auto path = directory / "model.safetensors";
  write_safetensors(path, arrays, {{"format", "pt"}, {"step", "12"}});

  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata(),
            (std::map<std::string, std::string>{{"format", "pt"}, {"step", "12"}}));
  ASSERT_EQ(file.tensors().size(), arrays.size());
  for (const NamedArray& array : arrays) {
    const StoredTensor& found = file.require(array.name, array.dtype, array.shape);
    std::vector<std::byte> bytes(found.bytes);
    file.read(found, 0, bytes);
    EXPECT_TRUE(std::ranges::equal(bytes, array.bytes)) << array.name;
    EXPECT_EQ(found.position % size_of(array.dtype), 0U) << array.name;
  }
}

TEST(Safetensors, HasTheLayoutOfTheReference) {
  const float values[]{1.0F, 2.0F};
  const bfloat16 half(3.0F);
  const TemporaryDirectory directory;
  const auto path = directory / "a.safetensors";
  write_safetensors(path,
                    {{"b", DType::bf16, {1}, std::as_bytes(std::span(&half, 1))},
                     {"z", DType::f32, {2}, std::as_bytes(std::span(values))}},
                    {{"format", "pt"}});
  std::string header =
      R"({"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string expected = with_size(header, 10);
  std::memcpy(expected.data() + expected.size() - 10, values, 8);
  std::memcpy(expected.data() + expected.size() - 2, &half, 2);
  EXPECT_EQ(contents_of(path), expected);
}

TEST(Safetensors, AFileWithoutTensorsIsWhole) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", {}, {});
  const SafetensorsFile file(directory / "a");
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_TRUE(file.metadata().empty());
}

TEST(Safetensors, EveryCutIsNoticed) {
  const float values[]{1.0F, 2.0F, 3.0F};
  const TemporaryDirectory directory;
  const auto path = directory / "a.safetensors";
  write_safetensors(path, {{"w", DType::f32, {3}, std::as_bytes(std::span(values))}}, {});
  const std::string whole = contents_of(path);
  EXPECT_EQ(problem_with(whole), "");
  EXPECT_THAT(problem_with(""), HasSubstr("model.safetensors is empty"));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    EXPECT_THAT(problem_with(whole.substr(0, size)),
                HasSubstr("model.safetensors is not a whole safetensors file"))
        << size;
  }
  EXPECT_THAT(problem_with(whole + "x"), HasSubstr("belong to no tensor"));
  put(path, "");
  EXPECT_THROW(SafetensorsFile{path}, Error);
}

TEST(Safetensors, EveryWrongFieldIsNoticed) {
  const struct {
    const char* header;
    std::size_t data_bytes;
    const char* problem;
  } cases[]{
      {R"( {})", 0, "no JSON object"},
      {R"({"a")", 0, "is no JSON ("},
      {R"([])", 0, "no JSON object"},
      {R"({"a":1})", 0, "tensor \"a\" is no JSON object"},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "has no dtype"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "has no shape"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "has no data_offsets"},
      {R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4, "dtype that is no string"},
      {R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,4]}})", 4, "cannot have 4 bytes"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, "cannot have 2 bytes"},
      {R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "shape that is no array"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "no list of sizes"},
      {R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "no list of sizes"},
      {R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4, "no list of sizes"},
      {R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}})", 4,
       "no list of sizes"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0,
       "cannot have 0 bytes"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       "cannot have 0 bytes"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "cannot have 4 bytes"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 8, "not two data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "outside the file"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "outside the file"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "leaves a gap"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, "overlaps"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "\"a\" stands twice"},
      {R"({"__metadata__":1})", 0, "metadata is no JSON object"},
      {R"({"__metadata__":{"a":1}})", 0, "metadata \"a\" is no string"},
      {R"({"a":{"dtype":"F32","shape":[[[[[]]]]],"data_offsets":[0,4]}})", 4, "nested too deep"},
      {"{\"a\nb\":1}", 0, "is no JSON ("},
      {"{\"a\\nb\":1}", 0, "tensor \"a\\nb\" is no JSON object"},
      {"{\"\xff\":1}", 0, "is no JSON ("},
  };
  for (const auto& [header, data_bytes, problem] : cases) {
    EXPECT_THAT(problem_with_header(header, data_bytes),
                AllOf(HasSubstr("model.safetensors"), HasSubstr(problem), Not(HasSubstr("\n"))))
        << header;
  }
}

TEST(Safetensors, TypesThatNobodyAsksForArePassedOver) {
  for (const char* header :
       {R"({"__metadata__":null,"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"BOOL","shape":[2,4],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F4","shape":[16],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]},)"
        R"("b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})",
        R"({"a":{"dtype":"FUTURE_7","shape":[3],"data_offsets":[0,8]}})"}) {
    EXPECT_EQ(problem_with_header(header, 8), "") << header;
  }
}

/// Little text that would become a large tree.
TEST(Safetensors, ATensorOfTooManyFieldsIsRefusedBeforeItTakesMemory) {
  for (const std::string field : {"1,", "[],", "{},"}) {
    std::string header = R"({"a":{"shape":[)";
    for (int i = 0; i < 5000; ++i) header += field;
    EXPECT_THAT(problem_with_header(header, 0), HasSubstr("\"a\" has too many fields"));
  }
}

TEST(Safetensors, HalvesAreReadExactly) {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  const std::string bytes(reinterpret_cast<const char*>(all.data()), 2 * all.size());
  const TemporaryDirectory directory;
  write_raw_safetensors(directory / "a",
                        {{"f16", "F16", {65536}, bytes}, {"bf16", "BF16", {65536}, bytes}});
  const SafetensorsFile file(directory / "a");
  std::vector<float> half(all.size());
  std::vector<float> brain(all.size());
  file.read_floats(*file.find("f16"), 0, half);
  file.read_floats(*file.find("bf16"), 0, brain);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int exponent = static_cast<int>(i >> 10) & 31;
    const double fraction = static_cast<double>(i & 1023U);
    const double sign = i < 32768 ? 1.0 : -1.0;
    if (exponent == 31 && fraction > 0) {
      ASSERT_TRUE(std::isnan(half[i])) << i;
    } else {
      const double size = exponent == 31  ? HUGE_VAL
                          : exponent == 0 ? std::ldexp(fraction, -24)
                                          : std::ldexp(1024.0 + fraction, exponent - 25);
      ASSERT_EQ(half[i], static_cast<float>(sign * size)) << i;
      ASSERT_EQ(std::signbit(half[i]), i >= 32768) << i;
    }
    ASSERT_EQ(std::bit_cast<std::uint32_t>(brain[i]), i << 16);
  }
  std::vector<float> part(3);
  file.read_floats(*file.find("f16"), 15360, part);  // 1.0 and the two after it
  EXPECT_EQ(part, (std::vector<float>{1.0F, 1.0F + 0x1p-10F, 1.0F + 0x1p-9F}));
  EXPECT_THROW(file.read_floats(*file.find("f16"), 65534, part), InvalidArgument);
}

TEST(Safetensors, AHugeHeaderIsRefusedUnread) {
  std::string file = with_size("{}", 0);
  const std::uint64_t size = ~std::uint64_t{0};
  std::memcpy(file.data(), &size, sizeof(size));
  EXPECT_THAT(problem_with(file), HasSubstr("claims a header of 18446744073709551615 bytes"));
}

TEST(Safetensors, ADeepHeaderIsRefusedBeforeItTakesMemory) {
  EXPECT_THAT(problem_with_header("{\"a\":" + std::string(50'000'000, '['), 0),
              HasSubstr("nested too deep"));
}

TEST(Safetensors, RequireNamesFileTensorAndBothShapes) {
  const float values[]{1.0F, 2.0F};
  const TemporaryDirectory directory;
  write_safetensors(directory / "m.safetensors",
                    {{"w", DType::f32, {2}, std::as_bytes(std::span(values))}}, {});
  const SafetensorsFile file(directory / "m.safetensors");
  EXPECT_NE(file.find("w"), nullptr);
  EXPECT_EQ(file.find("v"), nullptr);
  const auto problem = [&](const char* name, DType dtype, const Shape& shape) {
    try {
      file.require(name, dtype, shape);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(problem("v", DType::f32, {2}), HasSubstr("m.safetensors has no tensor \"v\""));
  EXPECT_THAT(problem("w", DType::f32, {2, 1}), HasSubstr("\"w\" is F32 [2], not F32 [2, 1]"));
  EXPECT_THAT(problem("w", DType::i32, {2}), HasSubstr("\"w\" is F32 [2], not I32 [2]"));
  EXPECT_EQ(problem("w", DType::f32, {2}), "");
}

TEST(Safetensors, TheWriterRefusesWhatCouldNotBeRead) {
  const float values[]{1.0F, 2.0F};
  const auto bytes = std::as_bytes(std::span(values));
  const TemporaryDirectory directory;
  const auto write = [&](const std::vector<NamedArray>& arrays) {
    write_safetensors(directory / "m", arrays, {});
  };
  EXPECT_THROW(write({{"a", DType::f32, {3}, bytes}}), InvalidArgument);
  EXPECT_THROW(write({{"a", DType::f32, {-2}, bytes}}), InvalidArgument);
  EXPECT_THROW(write({{"a", DType::f32, {2}, bytes}, {"a", DType::f32, {2}, bytes}}),
               InvalidArgument);
  EXPECT_THROW(write({{"__metadata__", DType::f32, {2}, bytes}}), InvalidArgument);
  EXPECT_THROW(write({{"\xff", DType::f32, {2}, bytes}}), InvalidArgument);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Safetensors, AFailedWriteLeavesTheOldFileAndNoOther) {
  const TemporaryDirectory directory;
  const auto path = directory / "m.safetensors";
  put(path, "old");
  const std::vector<std::byte> bytes(1 << 20);

  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{100'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::string problem;
  try {
    write_safetensors(path, {{"w", DType::f32, {1 << 18}, bytes}}, {});
  } catch (const Error& error) {
    problem = error.what();
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_THAT(problem, AllOf(HasSubstr("m.safetensors: File too large"), HasSubstr("ulimit -f")));
  EXPECT_EQ(contents_of(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(Safetensors, WhatIsNoFileIsAnErrorAndNoHang) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(SafetensorsFile(directory / "pipe"), Error);
  EXPECT_THROW(SafetensorsFile(directory.path()), Error);
  EXPECT_THROW(SafetensorsFile(directory / "none"), Error);
}

}  // namespace
}  // namespace cajal::train
