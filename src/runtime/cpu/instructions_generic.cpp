// Processors whose compilers name no optional instructions that cajal uses.
#include "runtime/cpu/instructions.h"

namespace cajal {

bool cpu_has_bf16() { return false; }
void require_built_instructions() {}

}  // namespace cajal
