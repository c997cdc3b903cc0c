#include "scheduler/recipe_facts.h"

#include <charconv>
#include <fstream>
#include <map>
#include <string_view>

namespace convoy::scheduler {

// to_toml() writes one "key = value" a line below its "[section]".
RecipeFacts read_recipe_facts(const std::string& run_directory) {
  std::map<std::string, std::string> values;
  std::string section;
  std::ifstream file(run_directory + "/recipe.toml", std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    if (line.size() > 2 && line.front() == '[' && line.back() == ']') section = line.substr(1, line.size() - 2);
    const std::size_t equals = line.find(" = ");
    if (equals != std::string::npos) values[section + '.' + line.substr(0, equals)] = line.substr(equals + 3);
  }
  const auto quoted = [&](const char* key) {
    const std::string& value = values[key];
    return value.size() >= 2 && value.front() == '"' ? value.substr(1, value.size() - 2) : std::string();
  };
  RecipeFacts facts;
  const std::string model = quoted("model.kind");
  const std::string data = quoted("data.kind");
  if (!model.empty()) facts.name = data.empty() ? model : model + " on " + data;
  const std::string& steps = values["train.steps"];
  std::from_chars(steps.data(), steps.data() + steps.size(), facts.steps);
  return facts;
}

}  // namespace convoy::scheduler
