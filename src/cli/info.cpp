// cajal info
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "cajal/device.h"
#include "cli/common_flags.h"
#include "cli/exit_codes.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/session.h"
#include "cli/version.h"
#include "model/presets.h"

namespace cajal::cli {
namespace {

class Info final : public Subcommand {
 public:
  explicit Info(CLI::App& app) : Subcommand(app), flags_(app) {
    flags_.boolean("--json", json_, "print one JSON object and nothing else");
    add_verbose(flags_, verbose_);
  }
  int run(Session& session) override;

 private:
  Flags flags_;
  bool json_ = false;
};

nlohmann::ordered_json to_json(const Device& device) {
  const DeviceInfo& info = device.info();
  nlohmann::ordered_json json;
  json["name"] = info.name;
  json["description"] = info.description;
  json["cores"] = std::thread::hardware_concurrency();
  json["threads"] = info.threads;
  json["memory_bytes"] = info.memory_bytes;
  json["memory_available_bytes"] = info.memory_available;
  json["bf16"] = info.supports_bf16;
  json["bf16_remedy"] = info.bf16_remedy;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto peak = device.peak_flops(dtype);
    json[fmt::format("peak_flops_{}", name_of(dtype))] =
        peak ? nlohmann::ordered_json(*peak) : nlohmann::ordered_json();
  }
  return json;
}

nlohmann::ordered_json to_json(const model::Preset& preset) {
  const model::GptConfig& config = preset.config;
  nlohmann::ordered_json json;
  json["name"] = preset.name;
  json["purpose"] = preset.purpose;
  json["params"] = config.parameter_count();
  json["vocab"] = config.vocab_size;
  json["width"] = config.n_embd;
  json["layers"] = config.n_layer;
  json["heads"] = config.n_head;
  json["feed_forward"] = config.n_inner;
  json["seq"] = config.n_positions;
  return json;
}

nlohmann::ordered_json gather() {
  nlohmann::ordered_json json;
  json["version"] = version();
  json["compiler"] = compiler();
  json["build_type"] = build_type();
  json["onednn"] = onednn_version();
  json["backends"] = Device::backends();
  json["devices"] = nlohmann::ordered_json::array();
  for (const std::string& backend : Device::backends())
    json["devices"].push_back(to_json(*Device::open(backend)));
  json["presets"] = nlohmann::ordered_json::array();
  for (const model::Preset& preset : model::presets()) json["presets"].push_back(to_json(preset));
  return json;
}

std::string row(std::string_view name, const std::string& value) {
  return fmt::format("{:<16}{}\n", name, value);
}

std::string describe_device(const nlohmann::ordered_json& device) {
  std::string out =
      row(device["name"].get<std::string>(), device["description"].get<std::string>());
  out += row("  cores", fmt::format("{}, {} threads in use", device["cores"].get<int>(),
                                    device["threads"].get<int>()));
  out +=
      row("  memory",
          fmt::format("{}, {} available", format_bytes(device["memory_bytes"].get<std::size_t>()),
                      format_bytes(device["memory_available_bytes"].get<std::size_t>())));
  const bool bf16 = device["bf16"].get<bool>();
  return out + row("  bf16",
                   bf16 ? std::string("yes") : "no: " + device["bf16_remedy"].get<std::string>());
}

std::string describe_preset(const nlohmann::ordered_json& preset) {
  return fmt::format(
      "  {:<12} {:>7}  width {:>4}, {:>2} layers, {:>2} heads, seq {:>4}, vocab {:>5}\n",
      preset["name"].get<std::string>(), format_count(preset["params"].get<double>()),
      preset["width"].get<int>(), preset["layers"].get<int>(), preset["heads"].get<int>(),
      preset["seq"].get<int>(), preset["vocab"].get<int>());
}

std::string describe(const nlohmann::ordered_json& info) {
  std::string out = row("cajal", info["version"].get<std::string>());
  out += row("compiler", fmt::format("{}, {}", info["compiler"].get<std::string>(),
                                     info["build_type"].get<std::string>()));
  out += row("oneDNN", info["onednn"].get<std::string>());
  for (const auto& device : info["devices"]) out += '\n' + describe_device(device);
  out += "\npresets          parameters\n";
  for (const auto& preset : info["presets"]) out += describe_preset(preset);
  return out;
}

int Info::run(Session& session) {
  const nlohmann::ordered_json info = gather();
  session.console.print(json_ ? info.dump() + '\n' : describe(info));
  return kSuccess;
}

}  // namespace

std::unique_ptr<Subcommand> add_info(CLI::App& program) {
  return std::make_unique<Info>(
      *program.add_subcommand("info", "this build, this machine and the presets"));
}

}  // namespace cajal::cli
