// Numbers that are addresses on their way from a pointer to a pointer.
#pragma once

#include "clang/AST/Decl.h"
#include "clang/AST/Expr.h"
#include "sync/frontend/unit.h"

namespace cajal::sync::frontend {

/// Fills unit.addresses: variables, fields, parameters and functions whose number something in view
/// turns into a pointer, by whatever way it gets there.
void note_addresses(Unit& unit);

/// Whether the number that a declaration names, or a function returns, is such an address.
bool is_address(const Unit& unit, const clang::Decl* declaration);

/// Whether an integer may be an address: it is made of a pointer, or of such a number.
bool carries_address(const Unit& unit, const clang::Expr* number);

/// A record with fields that lead to other memory, as pointers or as numbers; every container.
bool leads_on(const Unit& unit, clang::QualType type);

}  // namespace cajal::sync::frontend
