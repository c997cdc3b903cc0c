#include "scheduler/http_file.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/base/durable_file.h"
#include "core/base/error.h"

namespace convoy::scheduler {

namespace {

constexpr int kSchema = 1;

}  // namespace

HttpFile::HttpFile(const std::string& run_directory, const HttpPlace& place)
    : path_(path_in(run_directory)), scheduler_(place.scheduler) {
  const nlohmann::ordered_json text{{"schema", kSchema},    {"address", place.address},
                                    {"token", place.token}, {"host", place.host},
                                    {"pid", place.pid},     {"scheduler", place.scheduler.to_string()}};
  write_durably(path_, text.dump(2) + '\n', 0600);
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
