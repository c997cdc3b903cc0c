#include "launcher/scheduler_file.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cluster/messages.h"
#include "core/base/durable_file.h"
#include "core/base/error.h"

namespace convoy::launcher {

std::string to_text(const Whereabouts& whereabouts) {
  const nlohmann::ordered_json text{{"schema", cluster::kSchemaVersion},
                                    {"address", whereabouts.addresses.at(0)},
                                    {"addresses", whereabouts.addresses},
                                    {"public_key", whereabouts.public_key},
                                    {"token", whereabouts.token},
                                    {"incarnation", whereabouts.incarnation},
                                    {"resume_step", whereabouts.resume_step}};
  return text.dump(2) + '\n';
}

Whereabouts whereabouts_of(std::string_view text) {
  try {
    const auto object = nlohmann::json::parse(text);
    if (const std::uint32_t schema = object.at("schema"); schema != cluster::kSchemaVersion)
      fail(ErrorCode::kDataLoss, "of schema {}, expected {}", schema, cluster::kSchemaVersion);
    return {.addresses = object.at("addresses"),
            .public_key = object.at("public_key"),
            .token = object.at("token"),
            .incarnation = object.at("incarnation"),
            .resume_step = object.value("resume_step", std::int64_t{0})};
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kDataLoss, "not what a scheduler writes");
  }
}

SchedulerFile::SchedulerFile(const std::string& run_directory, const Whereabouts& whereabouts)
    : path_(path_in(run_directory)) {
  write_durably(path_, to_text(whereabouts), 0600);
}

SchedulerFile::~SchedulerFile() { unlink(path_.c_str()); }

std::optional<Whereabouts> SchedulerFile::read(const std::string& run_directory) {
  const std::string path = path_in(run_directory);
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    return whereabouts_of(text);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", path, error.what());
  }
}

}  // namespace convoy::launcher
