#include "distributed/mpi/mpi_engine.h"

#include "distributed/mpi/mpi_communicator.h"
#include "distributed/pages.h"

namespace convoy::distributed {
namespace {

class MpiEngine final : public Engine {
 public:
  MpiEngine(MpiSession& session, std::size_t arena_bytes) : session_(session), arena_(arena_bytes) {}

  std::string name() const override { return "mpi"; }
  std::span<std::byte> arena() override { return arena_.span(); }
  void commit(std::size_t offset, std::size_t bytes) override { arena_.commit(offset, bytes); }
  std::string meeting_place() const override { return ""; }

  std::unique_ptr<Communicator> connect(const EpochView& epoch) override {
    const std::stop_callback give_up(epoch.stop, [this] { session_.abort(); });
    return std::make_unique<MpiCommunicator>(session_, epoch.ballot);
  }

 private:
  MpiSession& session_;
  Pages arena_;
};

}  // namespace

std::unique_ptr<Engine> make_mpi_engine(MpiSession& session, std::size_t arena_bytes) {
  return std::make_unique<MpiEngine>(session, arena_bytes);
}

}  // namespace convoy::distributed
