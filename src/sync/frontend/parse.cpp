#include "sync/frontend/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <mutex>

#include "clang/AST/ASTConsumer.h"
#include "clang/AST/RecursiveASTVisitor.h"
#include "clang/Basic/DiagnosticOptions.h"
#include "clang/Basic/FileManager.h"
#include "clang/Frontend/CompilerInstance.h"
#include "clang/Frontend/FrontendAction.h"
#include "clang/Tooling/Tooling.h"
#include "llvm/Support/CrashRecoveryContext.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/VirtualFileSystem.h"
#include "sync/frontend/checks.h"
#include "sync/frontend/lower.h"
#include "sync/frontend/stubs.h"
#include "sync/frontend/survey.h"
#include "sync/frontend/unit.h"

namespace cajal::sync::frontend {
namespace {

constexpr const char* kStubs = "/cajal-sync/include";

/// Errors by line of the main file; everything else is of no interest here.
class Listener final : public clang::DiagnosticConsumer {
 public:
  std::vector<std::pair<unsigned, std::string>> errors;

  void HandleDiagnostic(clang::DiagnosticsEngine::Level level,
                        const clang::Diagnostic& diagnostic) override {
    if (level < clang::DiagnosticsEngine::Error) return;
    llvm::SmallString<160> text;
    diagnostic.FormatDiagnostic(text);
    unsigned line = 0;
    if (diagnostic.hasSourceManager() && diagnostic.getLocation().isValid()) {
      const auto& sources = diagnostic.getSourceManager();
      const auto at = sources.getExpansionLoc(diagnostic.getLocation());
      if (sources.isWrittenInMainFile(at)) line = sources.getExpansionLineNumber(at);
    }
    errors.emplace_back(line, std::string(text.str()));
  }
};

class Consumer final : public clang::ASTConsumer {
 public:
  Consumer(UnitResult& result, Listener& listener, bool per_thread)
      : result_(result), listener_(listener), per_thread_(per_thread) {}

  void HandleTranslationUnit(clang::ASTContext& context) override {
    Unit unit{context, result_};
    unit.per_thread_stream = per_thread_;
    std::vector<Code> codes = survey(unit, listener_.errors);
    // Blocks first, the innermost before those around them: handlers are looked into.
    std::stable_sort(codes.begin(), codes.end(), [&](const Code& one, const Code& other) {
      if (one.block != other.block) return one.block;
      const auto at = [&](const Code& code) {
        return context.getSourceManager().getFileOffset(
            context.getSourceManager().getFileLoc(code.body->getBeginLoc()));
      };
      return one.block ? at(one) > at(other) : at(one) < at(other);
    });
    for (const Code& code : codes) {
      if (!code.opaque.empty()) {
        result_.program.functions[code.index].blocks.resize(1);
        continue;
      }
      Lowering(unit, code.index, code.declaration, code.body).run();
    }
    result_.unparsed = listener_.errors;
    result_.broken = false;
  }

 private:
  UnitResult& result_;
  Listener& listener_;
  bool per_thread_;
};

class Action final : public clang::ASTFrontendAction {
 public:
  Action(UnitResult& result, Listener& listener, bool per_thread)
      : result_(result), listener_(listener), per_thread_(per_thread) {}

  std::unique_ptr<clang::ASTConsumer> CreateASTConsumer(clang::CompilerInstance& compiler,
                                                        llvm::StringRef) override {
    // A header that is not found must not end the parse, nor silence what comes after it.
    compiler.getDiagnostics().setFatalsAsError(true);
    compiler.getDiagnostics().setErrorLimit(0);
    return std::make_unique<Consumer>(result_, listener_, per_thread_);
  }

 private:
  UnitResult& result_;
  Listener& listener_;
  bool per_thread_;
};

std::vector<std::string> arguments_for(Language language, const std::string& path,
                                       const std::vector<std::string>& flags) {
  std::vector<std::string> out = {"clang",           "-fsyntax-only", "-w",
                                  "-ferror-limit=0", "-resource-dir", CAJAL_SYNC_RESOURCES};
  const auto add = [&](std::initializer_list<const char*> more) {
    out.insert(out.end(), more.begin(), more.end());
  };
  switch (language) {
    case Language::objcxx:
      add({"-x", "objective-c++", "-std=gnu++20", "-fobjc-arc", "-fblocks",
           "-fobjc-runtime=macosx-13", "-include", "algorithm"});
      break;
    case Language::objc:
      add({"-x", "objective-c", "-std=gnu17", "-fobjc-arc", "-fblocks",
           "-fobjc-runtime=macosx-13"});
      break;
    case Language::cuda:
      // Clang's own wrappers expect a whole toolkit behind them.
      add({"-x", "cuda", "-std=c++20", "--cuda-host-only", "-nocudainc", "-nocudalib",
           "--cuda-path=/cajal-sync", "-nobuiltininc", "-isystem", CAJAL_SYNC_RESOURCES "/include",
           "-Wno-unknown-cuda-version", "-Xclang", "-fcuda-allow-variadic-functions", "-include",
           "/cajal-sync/include/cuda_runtime.h"});
      break;
    case Language::hip:
      add({"-x", "hip", "-std=c++20", "--cuda-host-only", "-nogpuinc", "-nogpulib", "-nobuiltininc",
           "-isystem", CAJAL_SYNC_RESOURCES "/include", "-include",
           "/cajal-sync/include/hip/hip_runtime.h"});
      break;
    default:
      add({"-x", "c++", "-std=gnu++20", "-fblocks"});
  }
  add({"-D__APPLE__=1", "-DTARGET_OS_OSX=1"});
  if (language == Language::cuda || language == Language::hip || language == Language::cxx) {
    out.erase(out.end() - 2, out.end());
  }
  // A whole toolkit does not parse without Clang's own wrappers; the stubs come before it.
  const bool device = language == Language::cuda || language == Language::hip;
  if (device) add({"-I", kStubs});
  out.insert(out.end(), flags.begin(), flags.end());
  if (!device) add({"-idirafter", kStubs});
  out.push_back(path);
  return out;
}

UnitResult parse_here(const std::string& path, const std::string& text, Language language,
                      const std::vector<std::string>& flags) {
  UnitResult result;
  result.broken = true;
  auto memory = llvm::makeIntrusiveRefCnt<llvm::vfs::InMemoryFileSystem>();
  for (const Stub& stub : stubs()) {
    memory->addFile(fmt::format("{}/{}", kStubs, stub.name), 0,
                    llvm::MemoryBuffer::getMemBuffer(stub.text));
  }
  const std::string absolute = std::filesystem::absolute(path).lexically_normal().string();
  memory->addFile(absolute, 0, llvm::MemoryBuffer::getMemBufferCopy(text));
  auto overlay =
      llvm::makeIntrusiveRefCnt<llvm::vfs::OverlayFileSystem>(llvm::vfs::getRealFileSystem());
  overlay->pushOverlay(memory);
  auto files = llvm::makeIntrusiveRefCnt<clang::FileManager>(clang::FileSystemOptions(), overlay);
  Listener listener;
  bool per_thread = text.find("CUDA_API_PER_THREAD_DEFAULT_STREAM") != std::string::npos;
  for (const std::string& flag : flags) {
    per_thread = per_thread || flag.find("per-thread") != std::string::npos ||
                 flag.find("PER_THREAD_DEFAULT_STREAM") != std::string::npos;
  }
  clang::tooling::ToolInvocation invocation(arguments_for(language, absolute, flags),
                                            std::make_unique<Action>(result, listener, per_thread),
                                            files.get());
  invocation.setDiagnosticConsumer(&listener);
  invocation.run();
  result.unparsed = listener.errors;
  return result;
}

/// Sources that no compiler was meant to see can bring a parser down or nest without end: it runs
/// on a deep stack of its own, and what happens there stays there.
UnitResult parse_once(const std::string& path, const std::string& text, Language language,
                      const std::vector<std::string>& flags) {
  constexpr unsigned kStackBytes = 256U << 20U;
  static const bool enabled = (llvm::CrashRecoveryContext::Enable(), true);
  static_cast<void>(enabled);
  UnitResult result;
  llvm::CrashRecoveryContext context;
  const bool survived = context.RunSafelyOnThread(
      [&] { result = parse_here(path, text, language, flags); }, kStackBytes);
  if (survived) return result;
  UnitResult broken;
  broken.broken = true;
  broken.unparsed.emplace_back(0U, "the parser broke down on this file");
  return broken;
}

}  // namespace

Language language_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  if (extension == ".mm") return Language::objcxx;
  if (extension == ".m") return Language::objc;
  if (extension == ".cu") return Language::cuda;
  if (extension == ".hip") return Language::hip;
  if (extension == ".cpp" || extension == ".cc" || extension == ".cxx") return Language::cxx;
  return Language::none;
}

UnitResult parse(const std::string& path, const std::string& text, Language language,
                 const std::vector<std::string>& flags) {
  UnitResult result = parse_once(path, text, language, flags);
  std::vector<std::string> more = flags;
  const auto again = [&] {
    UnitResult next = parse_once(path, text, language, more);
    const bool better = next.unparsed.size() < result.unparsed.size();
    if (better) result = std::move(next);
    return better;
  };
  const bool objc = language == Language::objc || language == Language::objcxx;
  const bool manual =
      std::any_of(result.unparsed.begin(), result.unparsed.end(), [](const auto& error) {
        return error.second.find("ARC") != std::string::npos ||
               error.second.find("bridged cast") != std::string::npos;
      });
  if (objc && manual) {
    more.push_back("-fno-objc-arc");  // Retain and release by hand.
    if (!again()) more.pop_back();
  }
  const auto checks = unknown_checks(result.unparsed, text);
  for (const std::string& name : checks) more.push_back(stand_in(name, text));
  if (!checks.empty() && again()) {
    for (const std::string& name : checks) {
      if (passes_on(name, text)) result.checks.insert(name);
    }
  }
  return result;
}

}  // namespace cajal::sync::frontend
