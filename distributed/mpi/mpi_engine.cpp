#include "distributed/mpi/mpi_engine.h"

#include <sys/mman.h>

#include <cerrno>

#include "core/base/error.h"
#include "distributed/mpi/mpi_communicator.h"

namespace convoy::distributed {
namespace {

// Zeroed memory in whole pages, huge ones where the system has them.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED)
      fail(ErrorCode::kUnavailable, "cannot have {} bytes of memory for gradients: {}", bytes, errno_text(errno));
    madvise(data_, bytes, MADV_HUGEPAGE);
  }
  ~Pages() {
    if (bytes_ > 0) munmap(data_, bytes_);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::span<std::byte> span() const { return {static_cast<std::byte*>(data_), bytes_}; }

 private:
  const std::size_t bytes_;
  void* data_ = nullptr;
};

class MpiEngine final : public Engine {
 public:
  MpiEngine(MpiSession& session, std::size_t arena_bytes) : session_(session), arena_(arena_bytes) {}

  std::string name() const override { return "mpi"; }
  std::span<std::byte> arena() override { return arena_.span(); }
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
