#include <nlohmann/json.hpp>

#include "sync/report.h"

namespace cajal::sync {
namespace {

using Json = nlohmann::ordered_json;

Json wait_json(const WaitSite& site, const Decision& decision) {
  Json out;
  out["line"] = site.line;
  out["function"] = site.function;
  out["call"] = site.call;
  out["verdict"] = name_of(decision.verdict);
  out["defer_to"] = decision.defer_to != 0 ? Json(decision.defer_to) : Json();
  out["reason"] = decision.reason;
  out["evidence"] = Json::array();
  for (const Evidence& evidence : decision.evidence) {
    out["evidence"].push_back({{"line", evidence.line}, {"what", evidence.what}});
  }
  return out;
}

Json missing_json(const Missing& missing) {
  return {{"line", missing.line},
          {"function", missing.function},
          {"access", missing.access},
          {"submitted_at", missing.submitted_at},
          {"reason", missing.reason}};
}

Json file_json(const FileScan& scan) {
  Json out;
  out["path"] = scan.path;
  out["waits"] = Json::array();
  for (std::size_t i = 0; i < scan.unit.program.waits.size(); ++i) {
    out["waits"].push_back(wait_json(scan.unit.program.waits[i], scan.decisions.waits[i]));
  }
  out["missing"] = Json::array();
  for (const Missing& missing : scan.decisions.missing) {
    out["missing"].push_back(missing_json(missing));
  }
  if (!scan.unit.checks.empty()) out["checks"] = scan.unit.checks;
  out["unparsed"] = Json::array();
  for (const auto& [line, why] : scan.unit.unparsed) {
    out["unparsed"].push_back({{"line", line}, {"why", why}});
  }
  for (const SeenWait& seen : scan.hidden) {
    out["unparsed"].push_back(
        {{"line", seen.line},
         {"why", seen.call + (seen.place == Place::dead ? " in dead preprocessor code"
                                                        : " in the definition of a macro")}});
  }
  return out;
}

struct Rule {
  const char* id;
  const char* level;
  const char* text;
};

constexpr Rule kRules[] = {
    {"missing", "error", "Host access that conflicts with work in flight and has no wait"},
    {"redundant", "warning", "A blocking wait that nothing needs"},
    {"deferrable", "note", "A blocking wait that can come later"},
};

Json location(const std::string& path, unsigned line) {
  return {
      {"physicalLocation",
       {{"artifactLocation", {{"uri", path}}}, {"region", {{"startLine", std::max(1U, line)}}}}}};
}

Json finding(std::size_t rule, const std::string& path, unsigned line, const std::string& text) {
  return {{"ruleId", kRules[rule].id},
          {"ruleIndex", rule},
          {"level", kRules[rule].level},
          {"message", {{"text", text}}},
          {"locations", Json::array({location(path, line)})}};
}

}  // namespace

std::string to_json(const ScanResult& result) {
  Json out;
  out["files"] = Json::array();
  for (const FileScan& scan : result.files) out["files"].push_back(file_json(scan));
  const Summary sum = summarise(result);
  out["summary"] = {{"files", sum.files},         {"passed_over", result.passed_over},
                    {"waits", sum.waits},         {"waits_after", sum.after()},
                    {"required", sum.required},   {"deferrable", sum.deferrable},
                    {"redundant", sum.redundant}, {"unknown", sum.unknown},
                    {"contract", sum.contract},   {"timing", sum.timing},
                    {"missing", sum.missing}};
  if (sum.busiest.waits > 0) {
    out["summary"]["busiest"] = {{"function", sum.busiest.function},
                                 {"loop", sum.busiest.loop},
                                 {"waits", sum.busiest.waits},
                                 {"waits_after", sum.busiest.after}};
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_sarif(const ScanResult& result) {
  Json rules = Json::array();
  for (const Rule& rule : kRules) {
    rules.push_back({{"id", rule.id},
                     {"shortDescription", {{"text", rule.text}}},
                     {"defaultConfiguration", {{"level", rule.level}}}});
  }
  Json results = Json::array();
  for (const FileScan& scan : result.files) {
    for (const Missing& missing : scan.decisions.missing) {
      results.push_back(finding(0, scan.path, missing.line, missing.reason));
    }
    for (std::size_t i = 0; i < scan.unit.program.waits.size(); ++i) {
      const Decision& decision = scan.decisions.waits[i];
      const unsigned line = scan.unit.program.waits[i].line;
      if (decision.verdict == Verdict::redundant) {
        results.push_back(finding(1, scan.path, line, decision.reason));
      } else if (decision.verdict == Verdict::deferrable) {
        results.push_back(finding(2, scan.path, line,
                                  "can wait until line " + std::to_string(decision.defer_to)));
      }
    }
  }
  Json run;
  run["tool"]["driver"] = {{"name", "cajal-sync"}, {"rules", rules}};
  run["results"] = results;
  const Json out = {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                    {"version", "2.1.0"},
                    {"runs", Json::array({run})}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cajal::sync
