// One source file on its way from Clang's tree to a Program.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "clang/AST/ASTContext.h"
#include "clang/AST/Decl.h"
#include "clang/Basic/SourceManager.h"
#include "sync/source.h"

namespace cajal::sync::frontend {

/// A declaration, or, where the number is not -1, that parameter of it.
using AddressKey = std::pair<const clang::Decl*, int>;

/// What lowering needs to know of the whole file.
struct Unit {
  clang::ASTContext& context;
  UnitResult& result;
  std::map<const clang::Decl*, int> functions{};  ///< Canonical declaration to Program index.
  std::set<const clang::Decl*> exposed{};   ///< Scalars whose address leaves or that blocks share.
  std::set<const clang::Decl*> assigned{};  ///< What something in view gives another value.
  std::set<const clang::Decl*> managed{};   ///< Of cudaMallocManaged.
  std::set<const clang::Decl*> blocking_streams{};  ///< Of cudaStreamCreate alone.
  std::set<const clang::Decl*> moved{};             ///< Variables whose memory is handed on.
  std::set<const clang::Decl*> counting{};          ///< Semaphores that start above 0.
  std::set<const clang::Decl*> overridden{};        ///< Methods of which a subclass has its own.
  std::set<const clang::Decl*>
      unseen_pointers{};                       ///< Set by code out of sight, as far as is known.
  std::set<AddressKey> addresses{};            ///< frontend/addresses.h
  bool resident = false;                       ///< A residency set gives the device its memory.
  std::map<int, std::vector<Path>> signals{};  ///< Semaphores that a function signals.
  bool per_thread_stream = false;
  bool several_devices = false;  ///< The current device changes on the way.
  std::string main_path{};

  const clang::SourceManager& sources() const { return context.getSourceManager(); }
  unsigned line(clang::SourceLocation at) const { return sources().getExpansionLineNumber(at); }
  bool in_system(clang::SourceLocation at) const {
    if (at.isInvalid()) return true;
    const auto place = sources().getExpansionLoc(at);
    return sources().isInSystemHeader(place) ||
           sources().getFilename(place).substr(0, 12) == "/cajal-sync/";
  }
  bool in_main(clang::SourceLocation at) const {
    return sources().isWrittenInMainFile(sources().getExpansionLoc(at));
  }
};

}  // namespace cajal::sync::frontend
