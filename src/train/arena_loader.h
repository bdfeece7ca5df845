// Fills a device's arena of parameters from files, without a second copy of it on the host.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "cajal/command_queue.h"
#include "model/parameters.h"

namespace cajal::train {

/// Writes a parameter's values from its element `first` on to `values`.
using ParameterSource =
    std::function<void(const model::Parameter&, std::uint64_t first, std::span<float> values)>;

inline constexpr std::int64_t kArenaPiece = std::int64_t{1} << 24;  ///< 64 MiB.

/// Writes every saved element of `arena` (f32, laid out as `parameters`), `piece` elements at a
/// time; rows and gaps that no file holds become 0. Waits for each piece (checkpoint).
void load_arena(CommandQueue& queue, const model::Parameters& parameters, const Tensor& arena,
                const ParameterSource& source, std::int64_t piece = kArenaPiece);

/// After the master weights were written: their bf16 copy, and gradients of 0 (padding between
/// parameters is never written again, and the norm reads it).
void finish_weights(CommandQueue& queue, const model::Parameters& parameters);

}  // namespace cajal::train
