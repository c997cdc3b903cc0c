#include "distributed/mpi/session.h"

#include <dlfcn.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

using Clock = std::chrono::steady_clock;

// How an exchange is waited for: at first without a pause; then others may have the core; then it is slept, for the
// peers compute, and so may our own threads.
constexpr std::chrono::microseconds kSpin{20};
constexpr std::chrono::milliseconds kYield{1};
constexpr std::chrono::microseconds kSleep{20};
constexpr std::chrono::milliseconds kTell{2};

// The module, which stays loaded: MPI does not survive being unloaded.
const MpiModule* load_module(const std::vector<std::string>& paths) {
  std::string tried;
  for (const std::string& path : paths) {
    // Global: an MPI's own plug-ins look for its symbols.
    void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (handle == nullptr) {
      const char* const reason = dlerror();
      tried += fmt::format("{}{}", tried.empty() ? "" : "; ", reason != nullptr ? reason : path);
      continue;
    }
    const auto symbol = reinterpret_cast<const MpiModule* (*)()>(dlsym(handle, kMpiModuleSymbol));
    const MpiModule* const module = symbol != nullptr ? symbol() : nullptr;
    if (module == nullptr || module->version != kMpiModuleVersion)
      fail(ErrorCode::kUsage, "{}: not the MPI module of this build of Convoy", path);
    return module;
  }
  fail(ErrorCode::kUsage,
       "sync.engine = \"mpi\" needs {}, which is built where MPI is found at configure time (Debian: libopenmpi-dev): "
       "{}",
       kMpiModuleName, tried);
}

const char* read_variable(void* context, const char* name) {
  auto& [environment, value] = *static_cast<
      std::pair<const std::function<std::optional<std::string>(const std::string&)>*, std::optional<std::string>>*>(
      context);
  value = (*environment)(name);
  return value ? value->c_str() : nullptr;
}

}  // namespace

struct MpiExchange {
  std::vector<MpiTransfer> transfers;
  bool done = false;  // guarded by the session's mutex, like failure
  std::optional<std::string> failure;
};

struct MpiSession::Impl {
  enum class State { kStarting, kRunning, kFinishing, kEnded };

  // --- the thread ---

  void run() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the program's own threads
    char text[kMpiText] = {};
    const bool started = module->start(&rank, &size, text) == 0;
    std::unique_lock lock(mutex);
    state = started ? State::kRunning : State::kEnded;
    if (!started) failure = text;
    changed.notify_all();
    while (state == State::kRunning) {
      work.wait(lock, [&] { return !queue.empty() || state != State::kRunning || (aborted && !told); });
      if (aborted && !told) tell_abort();
      if (queue.empty()) continue;
      const MpiExchangePtr exchange = std::move(queue.front());
      queue.pop_front();
      std::optional<std::string> problem = failure;
      if (!problem) {
        lock.unlock();
        problem = carry_out(exchange->transfers);
        lock.lock();
        if (problem && !failure) failure = problem;
      }
      exchange->failure = std::move(problem);
      exchange->done = true;
      changed.notify_all();
    }
    if (aborted && !told) tell_abort();
    if (state == State::kFinishing && !failure) {
      lock.unlock();
      module->stop(text);
      lock.lock();
    }
    state = State::kEnded;
    changed.notify_all();
  }

  // What went wrong, if anything did.
  std::optional<std::string> carry_out(const std::vector<MpiTransfer>& transfers) {
    char text[kMpiText] = {};
    MpiBatch* const batch = module->open();
    std::optional<std::string> problem;
    for (const MpiTransfer& transfer : transfers) {
      if (!problem && module->post(batch, &transfer, text) != 0) problem = text;
    }
    const auto begin = Clock::now();
    for (int done = 0; !problem;) {
      if (module->test(batch, &done, text) != 0) problem = text;
      if (problem || done != 0) break;
      if (aborted) {
        problem = "this worker aborted";
      } else if (const std::int32_t peer = module->aborted_peer(); peer >= 0) {
        problem = fmt::format("rank {} aborted", peer);
      } else {
        pause(Clock::now() - begin);
      }
    }
    if (problem) tell_abort();
    module->close(batch);
    return problem;
  }

  // So that the peers do not wait for us. What is sent moves on only while MPI is called.
  void tell_abort() {
    told = true;
    module->tell_abort();
    for (const auto end = Clock::now() + kTell; Clock::now() < end;) module->aborted_peer();
  }

  static void pause(Clock::duration waited) {
    if (waited < kSpin) return;
    if (waited < kYield) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(kSleep);
    }
  }

  const MpiModule* module = nullptr;
  std::int32_t rank = 0;
  std::int32_t size = 1;
  std::atomic<bool> aborted{false};
  bool told = false;  // the peers; of the thread

  std::mutex mutex;  // guards the rest
  std::condition_variable work;
  std::condition_variable changed;
  State state = State::kStarting;
  std::deque<MpiExchangePtr> queue;
  std::optional<std::string> failure;  // the first one: nothing is begun after it
  std::thread thread;                  // of whoever made the session
};

MpiSession::MpiSession(const MpiSessionOptions& options) : impl_(std::make_shared<Impl>()) {
  impl_->module = load_module(options.modules);
  std::pair context{&options.environment, std::optional<std::string>()};
  if (const std::string obstacle = impl_->module->obstacle(read_variable, &context); !obstacle.empty())
    fail(ErrorCode::kUsage, "sync.engine = \"mpi\": {}", obstacle);
  impl_->thread = std::thread([impl = impl_] { impl->run(); });
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return impl_->state != Impl::State::kStarting; });
  if (impl_->state == Impl::State::kRunning) return;
  const std::string failure = *impl_->failure;
  lock.unlock();
  impl_->thread.join();
  fail(ErrorCode::kUnavailable, "{} did not start: {}", impl_->module->library(), failure);
}

MpiSession::~MpiSession() {
  if (!impl_->thread.joinable()) return;
  abort();
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->state == Impl::State::kRunning) impl_->state = Impl::State::kEnded;
  }
  impl_->work.notify_all();
  impl_->thread.join();
}

std::int32_t MpiSession::rank() const { return impl_->rank; }
std::int32_t MpiSession::size() const { return impl_->size; }
std::string MpiSession::library() const { return impl_->module->library(); }

MpiExchangePtr MpiSession::begin(std::vector<MpiTransfer> transfers) {
  auto exchange = std::make_shared<MpiExchange>(MpiExchange{std::move(transfers), false, std::nullopt});
  const std::lock_guard lock(impl_->mutex);
  if (impl_->state == Impl::State::kRunning) {
    impl_->queue.push_back(exchange);
    impl_->work.notify_one();
  } else {
    exchange->failure = impl_->failure.value_or("MPI has ended");
    exchange->done = true;
  }
  return exchange;
}

void MpiSession::wait(const MpiExchangePtr& exchange) {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return exchange->done; });
  if (exchange->failure) fail(ErrorCode::kPeerLost, "{}", *exchange->failure);
}

void MpiSession::abort() noexcept {
  impl_->aborted = true;
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->failure) impl_->failure = "this worker aborted";
  impl_->work.notify_all();
}

void MpiSession::finish(std::chrono::milliseconds timeout) {
  if (!impl_->thread.joinable()) return;
  std::unique_lock lock(impl_->mutex);
  if (impl_->failure) return;
  impl_->state = Impl::State::kFinishing;
  impl_->work.notify_all();
  const bool ended = impl_->changed.wait_for(lock, timeout, [&] { return impl_->state == Impl::State::kEnded; });
  lock.unlock();
  if (ended) {
    impl_->thread.join();
  } else {
    impl_->thread.detach();
  }
}

}  // namespace convoy::distributed
