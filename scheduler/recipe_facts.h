// What people want to know of a run's recipe, without its schema: a program's own recipes have keys of their own.
#pragma once

#include <cstdint>
#include <string>

namespace convoy::scheduler {

struct RecipeFacts {
  std::string name;        // "gpt on text"; empty: not known
  std::int64_t steps = 0;  // 0: not known
};

// Of RUN/recipe.toml, as the run wrote it.
RecipeFacts read_recipe_facts(const std::string& run_directory);

}  // namespace convoy::scheduler
