// What this processor can execute, and what this build asks of it.
#pragma once

namespace cajal {

/// Native bf16 arithmetic that oneDNN uses: AVX512-BF16 or AMX-BF16, on top of AVX512.
bool cpu_has_bf16();

/// Throws Error that names the missing instructions when the build was made for another processor,
/// instead of dying of an illegal one later.
void require_built_instructions();

}  // namespace cajal
