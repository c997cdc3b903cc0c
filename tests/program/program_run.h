// The program in a folder with recipes and data, for tests of what a user types.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/launched_run.h"
#include "tests/support/small_data.h"

namespace convoy {

inline constexpr char kGptRecipe[] = R"([model]
kind = "gpt"
layers = 1
heads = 1
width = 16
[data]
kind = "text"
path = "text.txt"
context = 16
[optimizer]
kind = "adamw"
lr = 1e-2
[train]
steps = 5
global_batch = 8
logical_shards = 4
)";

inline constexpr char kMlpRecipe[] = R"([model]
kind = "mlp"
hidden = [16]
[data]
kind = "mnist"
path = "digits"
[optimizer]
kind = "adamw"
lr = 1e-2
[train]
steps = 5
global_batch = 8
logical_shards = 4
)";

// gpt.toml, mlp.toml, text.txt and digits/ lie in its folder, which is where the program runs.
class ProgramRun : public testing_support::LaunchedRun {
 public:
  ProgramRun() : LaunchedRun("program") {
    write("gpt.toml", kGptRecipe);
    write("mlp.toml", kMlpRecipe);
    testing_support::write_text(folder() / "text.txt", 4000);
    testing_support::write_digits(folder() / "digits", 50);
  }

  void write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((folder() / name).parent_path());
    std::ofstream(folder() / name, std::ios::binary) << bytes;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(folder() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Its exit code; -1 where there was none. What it wrote is output() and errors(), of this command alone.
  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), CONVOY_PROGRAM);
    return run_command(arguments);
  }
  int run_command(const std::vector<std::string>& command) {
    for (const char* stream : {"stdout", "stderr"}) std::filesystem::remove(folder() / stream);
    start(command);
    const auto exit = wait_exit(std::chrono::seconds(30));
    return exit && exit->signal == 0 ? exit->exit_code : -1;
  }

  // errors(), with DIR for the folder.
  std::string message() const {
    const std::string folder_name = std::filesystem::canonical(folder()).string();
    std::string text = errors();
    for (std::size_t at = 0; (at = text.find(folder_name, at)) != std::string::npos;)
      text.replace(at, folder_name.size(), "DIR");
    return text;
  }
};

}  // namespace convoy
