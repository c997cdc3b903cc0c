#include "launcher/scheduler_file.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cluster/messages.h"
#include "core/base/durable_file.h"

namespace convoy::launcher {

SchedulerFile::SchedulerFile(const std::string& run_directory, const cluster::Credentials& credentials)
    : path_(run_directory + "/scheduler.json") {
  const nlohmann::ordered_json text{{"schema", cluster::kSchemaVersion},
                                    {"address", credentials.address},
                                    {"public_key", credentials.public_key},
                                    {"token", credentials.token}};
  write_durably(path_, text.dump(2) + '\n', 0600);
}

SchedulerFile::~SchedulerFile() { unlink(path_.c_str()); }

}  // namespace convoy::launcher
