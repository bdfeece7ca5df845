// Conditions under which a call stands.
#pragma once

#include "sync/frontend/unit.h"

namespace cajal::sync::frontend {

/// Whether the call in `body` stands under a condition that asks what the program has done so far
/// (a flag that something sets, a count, a handle that may not be there yet) rather than what its
/// user wants. On the way around a wait under such a condition nothing need be in flight.
bool depends_on_progress(const Unit& unit, const clang::Stmt* body, const clang::Expr* call);

}  // namespace cajal::sync::frontend
