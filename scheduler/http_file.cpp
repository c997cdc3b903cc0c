#include "scheduler/http_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/base/error.h"
#include "core/base/unique_fd.h"

namespace convoy::scheduler {

namespace {

constexpr int kSchema = 1;

// Whole or not at all, but not flushed to the disk: a scheduler that takes over waits for nothing that it can do
// without, and a file that a power cut spoils counts as none.
void replace(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  const UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const bool written = file && ::fchmod(file.get(), 0600) == 0 &&
                       ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::rename(temporary.c_str(), path.c_str()) == 0;
  if (written) return;
  const int error = errno;
  ::unlink(temporary.c_str());
  fail(ErrorCode::kUnavailable, "cannot write {}: {}", path, errno_text(error));
}

}  // namespace

HttpFile::HttpFile(const std::string& run_directory, const HttpPlace& place)
    : path_(path_in(run_directory)), scheduler_(place.scheduler) {
  const nlohmann::ordered_json text{{"schema", kSchema},    {"address", place.address},
                                    {"token", place.token}, {"host", place.host},
                                    {"pid", place.pid},     {"scheduler", place.scheduler.to_string()}};
  replace(path_, text.dump(2) + '\n');
}

HttpFile::~HttpFile() {
  const std::size_t slash = path_.rfind('/');
  // Another scheduler may have taken over since.
  if (const auto place = read(path_.substr(0, slash)); place && place->scheduler == scheduler_) unlink(path_.c_str());
}

std::optional<HttpPlace> HttpFile::read(const std::string& run_directory) {
  std::ifstream file(path_in(run_directory), std::ios::binary);
  if (!file) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    const auto object = nlohmann::json::parse(text);
    if (object.at("schema") != kSchema) return std::nullopt;
    return HttpPlace{.address = object.at("address"),
                     .token = object.at("token"),
                     .host = object.at("host"),
                     .pid = object.at("pid"),
                     .scheduler = Uuid::parse(object.at("scheduler").get<std::string>())};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace convoy::scheduler
