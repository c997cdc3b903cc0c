// A program that behaves towards the launcher as `convoy` does, without training anything: scheduler, worker, and the
// launcher itself, so that tests can kill any of them. `--NAME` arguments after the command choose a misbehaviour.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convoy::stand_in {

struct Arguments {
  std::vector<std::string> words;

  bool has(std::string_view word) const;
  // What follows "--NAME=".
  std::optional<std::string> value(const std::string& name) const;
  int number(const std::string& name, int otherwise) const;
};

std::optional<std::string> variable(const std::string& name);
int number_in(const char* variable);

int run_scheduler(const Arguments& arguments, int workers);
int run_worker(const Arguments& arguments);
int run_launcher(const Arguments& arguments);

}  // namespace convoy::stand_in
