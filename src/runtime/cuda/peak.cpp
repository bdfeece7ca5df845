#include "runtime/cuda/peak.h"

#include <array>

namespace cajal {
namespace {

struct Card {
  std::string_view name;  ///< Part of what the driver calls it; the first match counts.
  double fp8;             ///< 0 where there is none.
  double bf16;
  double f32;
};

/// NVIDIA's datasheets, without sparsity.
constexpr std::array kCards{
    Card{"B200", 4500e12, 2250e12, 75e12},
    Card{"H200 NVL", 1671e12, 835e12, 60e12},
    Card{"H200", 1978.9e12, 989.4e12, 66.9e12},
    Card{"GH200", 1978.9e12, 989.4e12, 66.9e12},
    Card{"H100 PCIe", 1513e12, 756e12, 51.2e12},
    Card{"H100 NVL", 1671e12, 835e12, 60e12},
    Card{"H100", 1978.9e12, 989.4e12, 66.9e12},
    Card{"A100", 0.0, 312e12, 19.5e12},
    Card{"A10G", 0.0, 70e12, 35e12},
    Card{"L40S", 733e12, 362e12, 91.6e12},
    Card{"RTX 4090", 330.3e12, 165.2e12, 82.6e12},
    Card{"RTX 3090", 0.0, 71e12, 35.6e12},
};

}  // namespace

std::optional<double> cuda_peak_flops(std::string_view card, DType dtype) {
  for (const Card& known : kCards) {
    if (card.find(known.name) == std::string_view::npos) continue;
    if (dtype == DType::fp8 && known.fp8 > 0.0) return known.fp8;
    if (dtype == DType::bf16) return known.bf16;
    if (dtype == DType::f32) return known.f32;
  }
  return std::nullopt;
}

}  // namespace cajal
