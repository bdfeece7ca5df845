#include "cajal/dtype.h"

namespace cajal {

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "fp32";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "int32";
    case DType::fp8:
      return "fp8";
  }
  return "unknown";
}

}  // namespace cajal
