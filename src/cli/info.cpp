// cajal info
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "cajal/device.h"
#include "cajal/error.h"
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
  if (device.kind() == DeviceKind::cpu) {
    json["cores"] = std::thread::hardware_concurrency();
    json["threads"] = info.threads;
  }
  json["memory_bytes"] = info.memory_bytes;
  json["memory_available_bytes"] = info.memory_available;
  json["bf16"] = info.supports_bf16;
  json["bf16_remedy"] = info.bf16_remedy;
  json["fp8"] = info.supports_fp8;
  for (const DType dtype : {DType::f32, DType::bf16, DType::fp8}) {
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

/// The device, or under "unavailable" why there is none; remedies are for those who asked for it.
nlohmann::ordered_json describe_or_why_not(const std::string& name) {
  try {
    return to_json(*Device::open(name));
  } catch (const Error& error) {
    const std::string why = error.what();
    return {{"name", name}, {"unavailable", why.substr(0, why.find("; "))}};
  }
}

nlohmann::ordered_json gather() {
  nlohmann::ordered_json json;
  json["version"] = version();
  json["compiler"] = compiler();
  json["build_type"] = build_type();
  json["onednn"] = onednn_version();
  json["backends"] = Device::backends();
  json["devices"] = nlohmann::ordered_json::array();
  for (const char* name : {"cpu", "cuda"}) json["devices"].push_back(describe_or_why_not(name));
  json["presets"] = nlohmann::ordered_json::array();
  for (const model::Preset& preset : model::presets()) json["presets"].push_back(to_json(preset));
  return json;
}

std::string row(std::string_view name, const std::string& value) {
  return fmt::format("{:<16}{}\n", name, value);
}

/// "989.4 TFLOP/s in bf16", what is known of it.
std::string describe_peaks(const nlohmann::ordered_json& device) {
  std::string out;
  for (const DType dtype : {DType::f32, DType::bf16, DType::fp8}) {
    const auto& peak = device[fmt::format("peak_flops_{}", name_of(dtype))];
    if (peak.is_null()) continue;
    out += fmt::format("{}{:.0f} in {}", out.empty() ? "" : ", ", peak.get<double>() * 1e-12,
                       name_of(dtype));
  }
  return out.empty() ? out : row("  peak TFLOP/s", out);
}

std::string describe_device(const nlohmann::ordered_json& device) {
  const auto name = device["name"].get<std::string>();
  if (device.contains("unavailable"))
    return row(name, "none: " + device["unavailable"].get<std::string>());
  std::string out = row(name, device["description"].get<std::string>());
  if (device.contains("cores")) {
    out += row("  cores", fmt::format("{}, {} threads in use", device["cores"].get<int>(),
                                      device["threads"].get<int>()));
  }
  out +=
      row("  memory",
          fmt::format("{}, {} available", format_bytes(device["memory_bytes"].get<std::size_t>()),
                      format_bytes(device["memory_available_bytes"].get<std::size_t>())));
  const bool bf16 = device["bf16"].get<bool>();
  out +=
      row("  bf16", bf16 ? std::string("yes") : "no: " + device["bf16_remedy"].get<std::string>());
  return out + describe_peaks(device);
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
