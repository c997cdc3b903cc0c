#include "worker/donor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "cluster/address.h"
#include "core/base/error.h"
#include "distributed/local/abstract_address.h"

namespace convoy::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kIntroduction{10'000};  // for a stranger to prove that it is none
constexpr std::ptrdiff_t kMostStrangers = 64;  // of more the oldest must go: this process needs its descriptors

std::string addresses_of(const std::string& bound) {
  const cluster::HostPort where = cluster::split_address(bound);
  if (where.host != "0.0.0.0") return bound;
  std::string all;
  for (const std::string& host : cluster::own_addresses())
    all += fmt::format("{}tcp://{}:{}", all.empty() ? "" : ",", host, where.port);
  return all.empty() ? fmt::format("tcp://127.0.0.1:{}", where.port) : all;
}

UniqueFd listen_locally(const std::string& name) {
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const distributed::AbstractAddress address(name);
  if (!listener || bind(listener.get(), address.get(), address.length()) != 0 || listen(listener.get(), SOMAXCONN) != 0)
    fail(ErrorCode::kUnavailable, "local socket @{}: {}", name, errno_text(errno));
  return listener;
}

void set_option(int socket, int level, int option, int value) {
  setsockopt(socket, level, option, &value, sizeof value);
}

// A busy core is left as seldom as possible.
void set_local_options(int socket) { set_option(socket, SOL_SOCKET, SO_SNDBUF, 4 << 20); }

// Small answers leave at once, and a peer whose host died is noticed.
void set_network_options(int socket) {
  const auto set = [socket](int level, int option, int value) { set_option(socket, level, option, value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set(IPPROTO_TCP, TCP_KEEPCNT, 5);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 10'000);
}

}  // namespace

Donor::Donor(DonorOptions options)
    : self_(options.self),
      token_(std::move(options.token)),
      shelf_{.find = std::move(options.find), .reading = {}},
      network_(cluster::listen_at(options.listen)),
      local_(listen_locally(donor_socket(self_))),
      service_{.address = addresses_of(cluster::bound_address(network_.get()))},
      thread_([this] { serve(); }) {}

Donor::~Donor() {
  stopping_ = true;
  wake_.signal();
  thread_.join();
}

void Donor::settle() { const std::lock_guard lock(shelf_.reading); }

void Donor::serve() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the program's own threads
  std::vector<pollfd> polled;
  while (!stopping_) {
    polled.assign({{wake_.descriptor(), POLLIN, 0}, {network_.get(), POLLIN, 0}, {local_.get(), POLLIN, 0}});
    const std::size_t first_guest = polled.size();
    for (const auto& guest : guests_) polled.push_back(guest->interest());
    const bool strangers =
        std::ranges::any_of(guests_, [](const auto& guest) { return guest->stranger_since().has_value(); });
    if (poll(polled.data(), polled.size(), strangers ? 1'000 : -1) < 0) continue;
    for (std::size_t i = guests_.size(); i-- > 0;) {
      if (polled[first_guest + i].revents != 0 && !guests_[i]->go_on())
        guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (strangers) dismiss_strangers();
    if (polled[1].revents != 0) admit(network_.get());
    if (polled[2].revents != 0) admit(local_.get());
  }
}

void Donor::admit(int listener) {
  UniqueFd socket(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno != EAGAIN) std::this_thread::sleep_for(milliseconds(10));  // no descriptors, for a while
    return;
  }
  if (listener == local_.get()) {
    set_local_options(socket.get());
  } else {
    set_network_options(socket.get());
  }
  guests_.push_back(std::make_unique<DonorGuest>(std::move(socket), self_, token_, shelf_));
  const auto is_stranger = [](const auto& guest) { return guest->stranger_since().has_value(); };
  if (std::ranges::count_if(guests_, is_stranger) > kMostStrangers)
    guests_.erase(std::ranges::find_if(guests_, is_stranger));
}

void Donor::dismiss_strangers() {
  const auto now = DonorGuest::Clock::now();
  std::erase_if(guests_, [now](const auto& guest) {
    const auto since = guest->stranger_since();
    return since && now - *since > kIntroduction;
  });
}

}  // namespace convoy::worker
