#include "distributed/engine.h"

#include "core/base/error.h"
#include "distributed/local/local_communicator.h"
#include "distributed/mpi/mpi_engine.h"
#include "distributed/pages.h"
#include "distributed/solo.h"
#include "distributed/tcp/tcp_engine.h"

namespace convoy::distributed {
namespace {

// A run of one, which stays so: nobody maps its arena, which so may lie in huge pages.
class SoloEngine final : public Engine {
 public:
  explicit SoloEngine(std::size_t arena_bytes) : pages_(arena_bytes) {}

  std::string name() const override { return "solo"; }
  std::span<std::byte> arena() override { return pages_.span(); }
  void commit(std::size_t offset, std::size_t bytes) override { pages_.commit(offset, bytes); }
  std::string meeting_place() const override { return ""; }
  std::unique_ptr<Communicator> connect(const EpochView&) override { return std::make_unique<SoloCommunicator>(); }

 private:
  Pages pages_;
};

// Workers of one host, through shared memory.
class LocalEngine final : public Engine {
 public:
  LocalEngine(const Uuid& self, std::size_t arena_bytes) : segment_({.arena_bytes = arena_bytes}), rendezvous_(self) {}

  std::string name() const override { return "local"; }
  std::span<std::byte> arena() override { return segment_.arena(); }
  void commit(std::size_t offset, std::size_t bytes) override { segment_.commit(offset, bytes); }
  std::string meeting_place() const override { return rendezvous_.name(); }

  std::unique_ptr<Communicator> connect(const EpochView& epoch) override {
    std::vector<LocalMember> members;
    for (const cluster::Member& member : epoch.members) {
      const std::string& here = epoch.members[static_cast<std::size_t>(epoch.rank)].host;
      if (member.host != here)
        fail(ErrorCode::kUsage,
             "sync.engine = \"local\" joins workers of one host, but rank {} is on {} and rank {} on {}", epoch.rank,
             here, member.rank, member.host);
      members.push_back({.socket = member.meeting_place, .uuid = member.uuid});
    }
    return make_local_communicator({.rank = epoch.rank,
                                    .members = std::move(members),
                                    .ballot = epoch.ballot,
                                    .token = epoch.token,
                                    .segment = segment_,
                                    .rendezvous = rendezvous_,
                                    .timeout = epoch.timeout,
                                    .stop = epoch.stop});
  }

 private:
  Segment segment_;
  Rendezvous rendezvous_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(const EngineOptions& options) {
  if (options.kind == "mpi") {
    if (options.mpi == nullptr)
      fail(ErrorCode::kUsage, "sync.engine = \"mpi\" needs workers that MPI started: mpirun -np N convoy train RECIPE");
    return make_mpi_engine(*options.mpi, options.arena_bytes);
  }
  if (options.kind == "gloo" || (options.kind == "auto" && options.spans_hosts)) return make_tcp_engine(options);
  if (options.kind != "auto" && options.kind != "local")
    fail(ErrorCode::kUsage, "sync.engine: there is no engine \"{}\"", options.kind);
  if (options.alone) return std::make_unique<SoloEngine>(options.arena_bytes);
  return std::make_unique<LocalEngine>(options.self, options.arena_bytes);
}

}  // namespace convoy::distributed
