// Names the memory behind an expression.
#pragma once

#include "clang/AST/Expr.h"
#include "sync/frontend/expressions.h"
#include "sync/frontend/unit.h"

namespace cajal::sync::frontend {

/// A pointer's own storage, beside the memory that carries its name.
Path slot_of(Path path);

class PathFinder {
 public:
  PathFinder(Unit& unit, int function, const clang::Decl* declaration)
      : unit_(unit), function_(function), declaration_(declaration) {}

  /// For a pointer, handle or container the memory that it stands for; for another lvalue the
  /// variable. Empty for numbers and literals. Choices give a temporary; `pending` gets what it may
  /// be.
  Path of(const clang::Expr* expression);
  Path of(const clang::ValueDecl* declaration, bool handle_context = false);

  /// The temporary that holds the value of a call.
  Path value_of(const clang::Expr* call, bool foreign) const;
  Path self() const;  ///< The object of the method.

  /// What a list puts into the members and elements of `whole`, as alias events.
  void fill(const Path& whole, const clang::InitListExpr& list);

  /// Alias events that resolving has given rise to.
  std::vector<Event> take_pending() { return std::move(pending_); }

  /// Calls whose value is known under another name (constructors of variables).
  std::map<const clang::Expr*, Path> named_values;

 private:
  Path message(const clang::Expr* expression);
  Path call(const clang::CallExpr* call);
  Path element(const clang::Expr* base, const clang::Expr* index, clang::QualType type);
  Path choice(const clang::Expr* whole, const clang::Expr* one, const clang::Expr* other);
  Path gathered(const clang::Expr* whole, const std::vector<const clang::Expr*>& elements);
  Path closure(const clang::Expr* code);
  Path of_composed(const clang::Expr* expression);

  Unit& unit_;
  int function_;
  const clang::Decl* declaration_;
  std::vector<Event> pending_;
};

}  // namespace cajal::sync::frontend
