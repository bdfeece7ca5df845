// Several files as one program.
#pragma once

#include <string>
#include <vector>

#include "sync/decide.h"
#include "sync/ir.h"

namespace cajal::sync {

/// One program of all the files', beside each other: calls of what another file defines become
/// calls in view, and what only other files could call is no longer external. Right only when the
/// files are the whole program.
Program link(const std::vector<const Program*>& files, std::vector<std::string> names);

/// What the decisions on a linked program say of each file.
std::vector<Decisions> split(const Decisions& decisions, const std::vector<const Program*>& files);

}  // namespace cajal::sync
