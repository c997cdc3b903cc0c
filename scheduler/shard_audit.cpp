#include "scheduler/shard_audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "core/base/error.h"
#include "scheduler/journal.h"
#include "scheduler/shard_lists.h"

namespace convoy::scheduler {
namespace {

using Json = nlohmann::json;
using Members = std::vector<Uuid>;  // by rank

// By ballot, as metrics.jsonl writes it.
std::map<std::string, Members> members_on_record(const std::string& run_directory) {
  std::map<std::string, Members> epochs;
  for (const JournalRecord& record : read_whole_journal(run_directory + "/journal", run_in(run_directory)).records) {
    const auto* epoch = std::get_if<EpochRecord>(&record);
    if (epoch == nullptr) continue;
    Members& members = epochs[epoch->ballot.to_string()];
    members.clear();
    for (const cluster::Member& member : epoch->epoch.members) members.push_back(member.uuid);
  }
  return epochs;
}

class Audit {
 public:
  Audit(const std::string& run_directory, const StepShape& shape,
        const std::function<void(std::int64_t, std::int32_t)>& used)
      : shape_(shape), used_(used), epochs_(members_on_record(run_directory)) {}

  void take(const Json& line) {
    const std::int64_t step = line.value("step", std::int64_t{0});
    if (step != audit_.steps + 1) wrong("step {} follows step {} on record", step, audit_.steps);
    audit_.steps = step;
    if (const auto samples = line.value("samples", std::int64_t{0}); samples != shape_.samples)
      wrong("step {}: {} samples, expected {}", step, samples, shape_.samples);
    const auto lists = line.find("shards");
    if (lists == line.end() || !lists->is_array())
      return wrong("step {}: nothing on record of who summed its shards", step);
    if (const auto world = line.value("world", std::int64_t{0}); world != std::ssize(*lists))
      wrong("step {}: shards of {} ranks, expected {}", step, lists->size(), world);
    take_shards(step, *lists, line.value("ballot", ""));
  }

  ShardAudit result() { return std::move(audit_); }

 private:
  template <typename... Args>
  void wrong(fmt::format_string<Args...> format, Args&&... args) {
    audit_.wrong.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void take_shards(std::int64_t step, const Json& lists, const std::string& ballot) {
    const auto epoch = epochs_.find(ballot);
    const bool known = epoch != epochs_.end();
    if (!known) ++audit_.without_epoch;
    if (known && epoch->second.size() != lists.size())
      wrong("step {}: shards of {} ranks, but epoch {} has {} members", step, lists.size(), ballot,
            epoch->second.size());
    std::vector<std::vector<std::size_t>> ranks(static_cast<std::size_t>(shape_.shards));
    for (std::size_t rank = 0; rank < lists.size(); ++rank) {
      const std::vector<std::int32_t> shards = read(step, rank, lists[rank]);
      for (const std::int32_t shard : shards) {
        ranks[static_cast<std::size_t>(shard)].push_back(rank);
        used_(step, shard);
      }
      if (known && rank < epoch->second.size() && !shards.empty()) credit(epoch->second[rank], shards.size());
    }
    for (std::size_t shard = 0; shard < ranks.size(); ++shard) {
      if (ranks[shard].empty()) wrong("step {}: nobody summed shard {}", step, shard);
      if (ranks[shard].size() > 1)
        wrong("step {}: shard {} counted {} times (ranks {})", step, shard, ranks[shard].size(),
              fmt::join(ranks[shard], ", "));
    }
  }

  std::vector<std::int32_t> read(std::int64_t step, std::size_t rank, const Json& list) {
    try {
      return read_shard_list(list.is_string() ? list.get<std::string>() : list.dump(), shape_.shards);
    } catch (const Error& error) {
      wrong("step {}: rank {}: {}", step, rank, error.what());
      return {};
    }
  }

  void credit(const Uuid& worker, std::size_t shards) {
    auto share = std::ranges::find(audit_.workers, worker, &WorkerShare::worker);
    if (share == audit_.workers.end()) share = audit_.workers.insert(share, WorkerShare{.worker = worker});
    ++share->steps;
    share->shards += static_cast<std::int64_t>(shards);
  }

  const StepShape shape_;
  const std::function<void(std::int64_t, std::int32_t)>& used_;
  const std::map<std::string, Members> epochs_;
  ShardAudit audit_;
};

}  // namespace

ShardAudit audit_shards(const std::string& run_directory, const StepShape& shape,
                        const std::function<void(std::int64_t step, std::int32_t shard)>& used) {
  const std::string path = run_directory + "/metrics.jsonl";
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorCode::kUnavailable, "{}: no such file: expected the records of a run", path);
  Audit audit(run_directory, shape, used);
  for (std::string line; std::getline(file, line) && !file.eof();) {  // the end of the file ends no line
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) fail(ErrorCode::kDataLoss, "{}: \"{}\" is no line of it", path, line.substr(0, 60));
    audit.take(json);
  }
  return audit.result();
}

}  // namespace convoy::scheduler
