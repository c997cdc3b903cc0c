// The status page of a run that goes on, as its scheduler keeps it: hears of every step and event on record, and
// publishes a view of the run a few times a second. Used by the scheduler's thread; clients never hold it up, and a
// page that cannot be had ends no run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cluster/messages.h"
#include "core/base/log.h"
#include "core/base/uuid.h"
#include "scheduler/http_file.h"
#include "scheduler/http_server.h"
#include "scheduler/run_history.h"
#include "scheduler/speed.h"

namespace convoy::scheduler {

inline constexpr char kNoHttp[] = "none";

struct StatusPageOptions {
  std::string run_directory;  // exists; Records has made it that of a run that goes on
  // Where to listen (HttpOptions::listen); kNoHttp: nowhere. Empty: at a free port of loopback, and if there is none,
  // nowhere.
  std::string http{};
  Uuid scheduler;  // this start of it
  std::uint64_t term = 0;
  std::int64_t steps = 0;  // of the whole run
  // In the place of a scheduler that died: an address that cannot be had is tried again and again, and the run goes on
  // meanwhile.
  bool restarted = false;
};

class StatusPage {
 public:
  // A scheduler that takes over from one that was killed listens where that one did, if it can, so that open pages go
  // on. Throws Error(kUsage) and, unless it takes over, Error(kUnavailable) for an address that was asked for. `logger`
  // outlives it.
  StatusPage(const StatusPageOptions& options, Logger& logger);

  // What a user is to open; empty: there is no page.
  std::string url() const { return server_ ? server_->url() : std::string(); }
  // A line for the user who asked for the page; empty where nobody did.
  std::string announcement() const;

  // What went on record. Steps come in ascending order.
  void add(const cluster::StepReport& report, const Uuid& reporter) { history_.add(report, reporter); }
  void add(const Event& event, double time_s);

  // Whether it is time to publish() again.
  bool due(Time now) const { return (server_ != nullptr || tries_again_) && now >= next_; }
  // `view` says what stands: state, reason, ballot, workers. The rest is filled in.
  void publish(RunView view, const Speed& speed, Time now);
  // How the run ended, for whoever is looking.
  void publish_last(RunView view, const Speed& speed);

 private:
  void listen();
  std::unique_ptr<HttpServer> server_of(const std::optional<HttpPlace>& before) const;
  void leave_word();
  std::shared_ptr<const RunView> complete(RunView view, const Speed& speed) const;

  const StatusPageOptions options_;
  Logger& logger_;
  const std::string directory_;  // the run's, from the root
  std::string recipe_;           // empty until a worker has written it down
  RunHistory history_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpFile> file_;
  bool tries_again_ = false;
  Time next_;
};

}  // namespace convoy::scheduler
