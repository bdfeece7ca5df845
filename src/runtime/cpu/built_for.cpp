// Data alone, compiled with the project's flags: instructions.cpp, compiled for any processor,
// reads it.
#include "runtime/cpu/built_for.h"

namespace cajal {

constinit const BuiltFor kBuiltFor{
#ifdef __FMA__
    .fma = true,
#endif
#ifdef __AVX2__
    .avx2 = true,
#endif
#ifdef __AVX512F__
    .avx512f = true,
#endif
#ifdef __AVX512BW__
    .avx512bw = true,
#endif
#ifdef __AVX512VL__
    .avx512vl = true,
#endif
#ifdef __AVX512BF16__
    .avx512bf16 = true,
#endif
#ifdef __AMX_BF16__
    .amx_bf16 = true,
#endif
};

}  // namespace cajal
