#include "train/recipe.h"

#include <algorithm>
#include <array>

#include "model/presets.h"

namespace cajal::train {
namespace {

struct NamedRecipe {
  std::string_view preset;
  Recipe recipe;
};

// Learning rates: Brown et al. 2020, table 2.1, for the GPT-2 sizes; the small ones were tried out.
constexpr std::array kRecipes{
    NamedRecipe{"tiny", {.batch = 16, .steps = 1500, .learning_rate = 3e-3F, .warmup = 50}},
    NamedRecipe{"cajal-20m", {.batch = 4, .steps = 2000, .learning_rate = 1e-3F, .warmup = 100}},
    NamedRecipe{"gpt2-124m", {.batch = 4, .steps = 10000, .learning_rate = 6e-4F, .warmup = 700}},
    NamedRecipe{"gpt2-350m", {.batch = 2, .steps = 10000, .learning_rate = 3e-4F, .warmup = 700}},
    NamedRecipe{"gpt2-774m", {.batch = 1, .steps = 10000, .learning_rate = 2.5e-4F, .warmup = 700}},
    NamedRecipe{"gpt2-1558m", {.batch = 1, .steps = 10000, .learning_rate = 2e-4F, .warmup = 700}},
};

}  // namespace

DType default_dtype(std::string_view device) {
  return device.starts_with("cuda") ? DType::bf16 : DType::f32;
}

Recipe recipe_for(std::string_view preset) {
  model::preset_config(preset);  // throws for a name that is none
  const auto found = std::find_if(kRecipes.begin(), kRecipes.end(),
                                  [&](const NamedRecipe& named) { return named.preset == preset; });
  return found == kRecipes.end() ? Recipe{} : found->recipe;
}

}  // namespace cajal::train
