#include "worker/transfer.h"

#include <fmt/ranges.h>
#include <poll.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "cluster/socket.h"
#include "core/base/error.h"

namespace convoy::worker {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A donor hashes a piece just before it sends it, and the fetch just after it arrived: both find it in their caches.
constexpr std::int64_t kPieceBytes = 512 << 10;
constexpr std::size_t kWindow = 8;    // questions on their way, so that the donor never waits for the next one
constexpr milliseconds kAskAgain{2};  // a donor that has not entered the epoch yet

class Transfer {
 public:
  Transfer(const TransferOptions& options, const Destination& destination, std::stop_token stop)
      : options_(options),
        destination_(destination),
        total_(total_bytes(destination)),
        stop_(std::move(stop)),
        wake_on_stop_(stop_, [this] { stopped_.signal(); }) {}

  Transferred run() {
    Transferred result;
    std::vector<std::string> reasons;
    for (const Source& source : options_.donors) {
      try {
        if (pull_from(source)) {
          result.done = true;
          return result;
        }
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kInterrupted) throw;
        result.lost.push_back(source.uuid);
        reasons.push_back(fmt::format("worker {}: {}", source.uuid.to_string(), error.what()));
      }
    }
    if (result.lost.size() == options_.donors.size())
      fail(ErrorCode::kPeerLost, "no donor of {} is left: {}", wanted(), fmt::join(reasons, "; "));
    return result;
  }

 private:
  // False if it says that it has nothing to give.
  bool pull_from(const Source& source) {
    check_stop();
    channel_.emplace(source, options_.asker, options_.way);
    if (!on_its_way_.empty()) next_ = std::ranges::min(on_its_way_, {}, &Pull::offset).offset;
    on_its_way_.clear();
    asked_again_.clear();
    heard_ = Clock::now();
    while (!channel_->is_open()) wait();
    bool serves = false;  // until then a single question is on its way, which may have to be repeated
    ask(next_);
    while (!on_its_way_.empty()) {
      const auto arrival = next_arrival();
      if (arrival.total == kNotHereYet && !serves) {
        std::this_thread::sleep_for(kAskAgain);
        channel_->ask(on_its_way_.front());
        continue;
      }
      if (arrival.total < 0) return false;
      serves = true;
      heard_ = Clock::now();
      if (!arrival.sound) ask_again(on_its_way_.front().offset);
      on_its_way_.pop_front();
      while (on_its_way_.size() < channel_->window() && next_ < total_) ask(next_);
    }
    return true;
  }

  DonorChannel::Arrival next_arrival() {
    for (;;) {
      if (const auto arrival = channel_->receive(on_its_way_.front(), destination_)) return *arrival;
      wait();
    }
  }

  // For news from the donor.
  void wait() {
    check_stop();
    const auto left = std::chrono::ceil<milliseconds>(heard_ + options_.stall - Clock::now());
    if (left <= milliseconds(0)) fail(ErrorCode::kPeerLost, "it gave nothing for {} ms", options_.stall.count());
    pollfd news[] = {{channel_->descriptor(), POLLIN, 0}, {stopped_.descriptor(), POLLIN, 0}};
    poll(news, std::size(news), static_cast<int>(left.count()));
    check_stop();
  }

  void check_stop() const {
    if (stop_.stop_requested()) fail(ErrorCode::kInterrupted, "asked to stop while fetching {}", wanted());
  }

  void ask(std::int64_t offset) {
    const Pull pull{.what = options_.what,
                    .step = options_.step,
                    .offset = offset,
                    .bytes = std::min({total_ - offset, channel_->piece_bytes(), options_.most_bytes})};
    channel_->ask(pull);
    on_its_way_.push_back(pull);
    next_ = std::max(next_, offset + pull.bytes);
  }

  void ask_again(std::int64_t offset) {
    if (std::ranges::find(asked_again_, offset) != asked_again_.end())
      fail(ErrorCode::kDataLoss, "its bytes from {} on arrived damaged twice", offset);
    asked_again_.push_back(offset);
    ask(offset);
  }

  std::string wanted() const {
    return fmt::format("the {} step {}", options_.what == Pull::What::kState ? "state after" : "reduced gradient of",
                       options_.step);
  }

  const TransferOptions& options_;
  const Destination& destination_;
  const std::int64_t total_;
  std::int64_t next_ = 0;        // up to here everything was asked for
  std::deque<Pull> on_its_way_;  // what was asked for, in that order; all else up to next_ is there
  std::vector<std::int64_t> asked_again_;
  Clock::time_point heard_;
  std::optional<DonorChannel> channel_;
  cluster::WakeUp stopped_;
  std::stop_token stop_;
  std::stop_callback<std::function<void()>> wake_on_stop_;
};

}  // namespace

Transferred fetch(const TransferOptions& options, const Destination& destination, std::stop_token stop) {
  return Transfer(options, destination, std::move(stop)).run();
}

}  // namespace convoy::worker
