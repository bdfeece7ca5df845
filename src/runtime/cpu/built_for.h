// The instruction sets that the compiler was free to use.
#pragma once

namespace cajal {

struct BuiltFor {
  bool fma = false;
  bool avx2 = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512vl = false;
  bool avx512bf16 = false;
  bool amx_bf16 = false;
};

extern const BuiltFor kBuiltFor;

}  // namespace cajal
