#include "launcher/preparation.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <utility>

#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/recipe_suggest.h"
#include "launcher/child_environment.h"
#include "launcher/forwarded_process.h"
#include "launcher/lifeline.h"

namespace convoy::launcher {
namespace {

std::string read_all(int fd) {
  std::string bytes;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0) bytes.append(buffer.data(), static_cast<std::size_t>(got));
  return bytes;
}

// Hands on the program's lines until it has ended.
ExitStatus wait_for(ForwardedProcess& child, Output& output) {
  while (true) {
    std::vector<pollfd> watched;
    child.watch(watched, output.backed_up());
    if (const auto room = output.waiting_for()) watched.push_back(*room);
    poll(watched.data(), watched.size(), 1000);
    output.flush();
    if (!output.backed_up()) child.forward();
    if (const auto status = child.try_reap()) return *status;
  }
}

}  // namespace

Preparation prepare_program(const PrepareOptions& options, Output& output) {
  Pipe answer = make_pipe();
  const Lifeline lifeline;
  SpawnOptions spawn{.program = options.program,
                     .arguments = options.arguments,
                     .environment = child_environment(options.environment),
                     .inherited = {answer.write_end.get(), lifeline.inherited()}};
  const auto set = [&](const char* name, const std::string& value) {
    spawn.environment.push_back(std::string(name) + '=' + value);
  };
  set(kPrepareDescriptorVariable, std::to_string(answer.write_end.get()));
  set(kPrepareWorkersVariable, std::to_string(options.workers));
  set(cluster::kLifelineVariable, std::to_string(lifeline.inherited()));
  if (options.run_directory) set(cluster::kRunVariable, *options.run_directory);
  bool refused = false;  // in one line, as every program of the library does
  ForwardedProcess child(spawn, [&](Stream stream, std::string_view line) {
    refused = refused || (stream == Stream::kErrors && line.starts_with("convoy: "));
    output.line(stream, line);
  });
  answer.write_end.reset();
  set_nonblocking(answer.read_end.get());

  const ExitStatus status = wait_for(child, output);
  if (status.signal != 0 || (status.exit_code != 0 && !refused))
    fail(ErrorCode::kUnavailable, "{} {} before the run began", options.program, describe_exit(status));
  if (status.exit_code != 0) return {.exit_code = status.exit_code, .scheduler_arguments = {}};
  Preparation result{.exit_code = 0, .scheduler_arguments = decode_words(read_all(answer.read_end.get()))};
  if (result.scheduler_arguments.empty())
    fail(ErrorCode::kUsage, "{}: ended without having prepared a run: expected a program built on Convoy's library",
         options.program);
  return result;
}

std::string encode_words(const std::vector<std::string>& words) {
  std::string bytes;
  for (const std::string& word : words) bytes += word + '\0';
  return bytes;
}

std::vector<std::string> decode_words(std::string_view bytes) {
  std::vector<std::string> words;
  for (std::size_t end = 0; (end = bytes.find('\0')) != std::string_view::npos; bytes.remove_prefix(end + 1))
    words.emplace_back(bytes.substr(0, end));
  return words;
}

std::string find_program(const std::string& word, const std::string& search_path) {
  namespace fs = std::filesystem;
  const auto runs = [](const fs::path& path) { return access(path.c_str(), X_OK) == 0 && !fs::is_directory(path); };
  if (word.find('/') != std::string::npos) {
    if (runs(word)) return word;
    fail(ErrorCode::kUsage, "convoy launch: {}: expected a program that can be run: {}", word,
         fs::is_directory(word) ? "it is a folder" : errno_text(errno));
  }
  for (std::size_t begin = 0; begin <= search_path.size();) {
    const std::size_t end = std::min(search_path.find(':', begin), search_path.size());
    const fs::path path = fs::path(search_path.substr(begin, end - begin)) / word;
    if (runs(path)) return path.string();
    begin = end + 1;
  }
  const std::string nearest = nearest_word(word, {"train"});
  fail(ErrorCode::kUsage, "convoy launch: cannot launch '{}': expected 'train' or a program{}", word,
       nearest.empty() ? " (one in this folder is ./" + word + ")" : "; did you mean '" + nearest + "'?");
}

}  // namespace convoy::launcher
