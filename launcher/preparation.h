// Asking a program built on the library to prepare a run: it alone can read its recipe, open its data and build its
// model. `convoy launch` runs it once more than there are workers, with variables that tell it to prepare and where to
// answer, and takes its answer for the scheduler's command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/output.h"

namespace convoy::launcher {

inline constexpr char kPrepareDescriptorVariable[] = "CONVOY_PREPARE_FD";
inline constexpr char kPrepareWorkersVariable[] = "CONVOY_PREPARE_WORKERS";

struct PrepareOptions {
  std::string program;                   // a path
  std::vector<std::string> arguments;    // its own
  std::vector<std::string> environment;  // "NAME=value"
  int workers = 1;
  std::optional<std::string> run_directory;  // as far as the user said
};

struct Preparation {
  int exit_code = 0;                             // not 0: the program has said why
  std::vector<std::string> scheduler_arguments;  // {"scheduler", "--run=…", …}, or kFinishedAnswer
};

// The answer of a program whose run is done.
inline const std::vector<std::string> kFinishedAnswer = {"finished"};

// Runs the program to its end; its lines go to `output`. Throws Error(kUsage) for a program that does not answer,
// Error(kUnavailable) for one that cannot be started or is killed.
Preparation prepare_program(const PrepareOptions& options, Output& output);

// Words as they travel: each ends with a zero byte, so that none needs quoting.
std::string encode_words(const std::vector<std::string>& words);
std::vector<std::string> decode_words(std::string_view bytes);

// The program that a user means by `word`, as a shell finds it: a path if there is a slash in it, else the first of
// that name in the folders of `search_path` (PATH). Throws Error(kUsage) where there is none.
std::string find_program(const std::string& word, const std::string& search_path);

}  // namespace convoy::launcher
