// Folders of a small GPT-2 in the forms in which models are published.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cajal/dtype.h"
#include "data/corpus.h"
#include "data/tokenizer.h"
#include "model/gpt.h"
#include "temporary_directory.h"

namespace cajal::train {

/// A tensor of any type, as bytes.
struct RawTensor {
  std::string name;
  std::string dtype;
  Shape shape;
  std::string bytes;
};

/// safetensors written apart from the product's own writer, which knows fewer types.
inline void write_raw_safetensors(const std::filesystem::path& file,
                                  const std::vector<RawTensor>& tensors,
                                  const std::string& metadata = R"({"format":"pt"})") {
  std::string header = R"({"__metadata__":)" + metadata;
  std::string data;
  for (const RawTensor& tensor : tensors) {
    header += ",\"" + tensor.name + R"(":{"dtype":")" + tensor.dtype + R"(","shape":[)";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      header += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
    }
    header += "],\"data_offsets\":[" + std::to_string(data.size());
    data += tensor.bytes;
    header += "," + std::to_string(data.size()) + "]}";
  }
  header += '}';
  const std::uint64_t size = header.size();
  std::string prefix(sizeof(size), '\0');
  std::memcpy(prefix.data(), &size, sizeof(size));
  put(file, prefix + header + data);
}

/// Of a number that float16 holds exactly and as a normal one.
inline std::uint16_t half_bits(float value) {
  if (value == 0.0F) return 0;
  int exponent = 0;
  const float fraction = std::frexp(std::fabs(value), &exponent);  // in [0.5, 1)
  const auto mantissa = static_cast<unsigned>(std::ldexp(fraction, 11)) & 0x3ffU;
  return static_cast<std::uint16_t>((value < 0.0F ? 0x8000U : 0U) |
                                    static_cast<unsigned>(exponent + 14) << 10 | mantissa);
}

inline std::string encoded(const std::vector<float>& values, std::string_view dtype) {
  std::string bytes;
  for (const float value : values) {
    if (dtype == "F32") {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
      continue;
    }
    const std::uint16_t bits = dtype == "BF16" ? bfloat16(value).bits : half_bits(value);
    bytes.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
  }
  return bytes;
}

class ModelFolder {
 public:
  ModelFolder() {
    config_.vocab_size = 257;
    config_.n_positions = 64;
    config_.n_embd = 16;
    config_.n_layer = 2;
    config_.n_head = 2;
    config_.n_inner = 64;
    std::mt19937 random(11);
    // Seven bits and a sign: the same numbers in every type.
    std::uniform_int_distribution<int> any(-127, 127);
    for (const auto& spec : model::Gpt::parameter_specs(config_)) {
      Shape shape = spec.shape;
      shape[0] = spec.saved_rows;
      std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
      for (float& value : values) value = static_cast<float>(any(random)) / 512.0F;
      names_.push_back(spec.name);
      shapes_[spec.name] = shape;
      values_[spec.name] = std::move(values);
    }
  }

  const std::filesystem::path& path() const { return folder_.path(); }
  std::filesystem::path operator/(std::string_view name) const { return folder_ / name; }
  const model::GptConfig& config() const { return config_; }
  const std::vector<float>& values(const std::string& name) const { return values_.at(name); }

  std::vector<RawTensor> tensors(const std::string& dtype = "F32", bool prefix = true) const {
    std::vector<RawTensor> tensors;
    for (const std::string& name : names_) {
      const std::string stored = prefix ? name : name.substr(std::strlen("transformer."));
      tensors.push_back({stored, dtype, shapes_.at(name), encoded(values_.at(name), dtype)});
    }
    return tensors;
  }

  void put_weights(const std::vector<RawTensor>& tensors,
                   const std::string& metadata = R"({"format":"pt"})") const {
    write_raw_safetensors(folder_ / "model.safetensors", tensors, metadata);
  }
  /// In `count` files, dealt out one by one.
  void put_shards(const std::vector<RawTensor>& tensors, std::size_t count) const {
    std::vector<std::vector<RawTensor>> shards(count);
    std::string map;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      shards[i % count].push_back(tensors[i]);
      map += (i == 0 ? "\"" : ",\"") + tensors[i].name + "\":\"" + shard_name(i % count) + '"';
    }
    for (std::size_t i = 0; i < count; ++i) {
      write_raw_safetensors(folder_ / shard_name(i), shards[i]);
    }
    put_index(map);
  }
  static std::string shard_name(std::size_t index) {
    return "model-0000" + std::to_string(index + 1) + ".safetensors";
  }
  void put_index(const std::string& map) const {
    put(folder_ / "model.safetensors.index.json",
        R"({"metadata":{"total_size":1,"more":[{}]},"weight_map":{)" + map + "}}");
  }

  void put_config(const std::string& more = {}) const {
    put(folder_ / "config.json",
        R"({"model_type":"gpt2","vocab_size":257,"n_positions":64,"n_embd":16,"n_layer":2,)"
        R"("n_head":2,"n_inner":null)" +
            more + "}");
  }
  /// The 256 bytes and <|endoftext|>.
  void put_tokenizer(int vocab = 257) const {
    put(folder_ / "text", "the cat sat on the mat and the cat sat on the hat\n");
    data::BpeOptions options;
    options.vocab_size = vocab;
    data::Tokenizer::train(data::Corpus::open({folder_ / "text"}), options)
        .save(folder_ / "tokenizer.json");
  }
  void put_all() const {
    put_config();
    put_weights(tensors());
    put_tokenizer();
  }

 private:
  TemporaryDirectory folder_;
  model::GptConfig config_;
  std::vector<std::string> names_;
  std::map<std::string, Shape> shapes_;
  std::map<std::string, std::vector<float>> values_;
};

}  // namespace cajal::train
