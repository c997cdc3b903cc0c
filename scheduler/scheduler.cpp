#include "scheduler/scheduler.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "scheduler/board.h"
#include "scheduler/journal.h"
#include "scheduler/known_workers.h"
#include "scheduler/records.h"
#include "scheduler/speed.h"
#include "scheduler/status_page.h"

namespace convoy::scheduler {

namespace {

using namespace cluster;
using namespace std::chrono_literals;

constexpr auto kTick = 100ms;
constexpr auto kLongestBatch = 200ms;      // of messages, before time gets its turn
constexpr auto kProgressInterval = 200ms;  // at least, between two progress messages
constexpr auto kProbeInterval = 250ms;     // between looks at who is still connected
constexpr auto kLinger = 1000ms;           // for the last messages to go out
constexpr std::size_t kMostUntold = 100;   // notices that wait for a launcher

Time steady_now() { return std::chrono::steady_clock::now(); }

double wall_clock_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Events that a user should see when they happen.
bool worth_a_line(std::string_view kind) { return kind == "checkpoint_failed" || kind == "build_changed"; }

MembershipOptions membership_options(const SchedulerOptions& options) {
  return {.world = options.world,
          .min_workers = options.min_workers,
          .max_workers = options.max_workers,
          .steps = options.steps,
          .rebuilds = options.rebuilds,
          .limits = options.limits};
}

std::string journal_of(const SchedulerOptions& options) { return options.run_directory + "/journal"; }

}  // namespace

struct Scheduler::Impl {
  Impl(SchedulerOptions scheduler_options, Logger& run_logger)
      : options(std::move(scheduler_options)),
        logger(run_logger),
        self(Uuid::random()),
        hub(options.listen, options.token, self),
        run_id(identify_run(options.run_directory)),
        decided(options.restarted ? read_journal_since_start(journal_of(options), run_id) : JournalPast()),
        journal(journal_of(options), self, run_id, options.restarted),
        records(options.run_directory, options.resume_step, options.restarted),
        page({.run_directory = options.run_directory,
              .http = options.http,
              .scheduler = self,
              .term = journal.term(),
              .steps = options.steps,
              .restarted = options.restarted},
             logger),
        membership(membership_options(options), past(), steady_now()),
        acknowledged_step(records.recorded_step()) {
    show([&] { board.emplace(options.run_directory, records.recorded_step(), wall_clock_s()); });
  }

  Past past() {
    KnownWorkers known;
    if (options.restarted) {
      const TermRecord* first = decided.records.empty() ? nullptr : std::get_if<TermRecord>(&decided.records.front());
      known = read_known_workers(options.run_directory, journal.term(),
                                 first == nullptr ? std::nullopt : std::optional(first->term));
    }
    return {.term = journal.term(),
            .step = options.resume_step,
            .checkpoint_step = options.checkpoint_step,
            .run_directory = options.run_directory,
            .program = options.program,
            .restarted = options.restarted,
            .journal = std::move(decided.records),
            .damage = std::move(decided.damage),
            .known = std::move(known),
            .recorded_step = records.recorded_step(),
            .final_recorded = records.has_final()};
  }

  int run() {
    logger.info("scheduler of term {} waits for {} worker{} at {}", journal.term(), options.world,
                options.world == 1 ? "" : "s", hub.credentials().address);
    if (options.on_notice && !page.announcement().empty()) options.on_notice(page.announcement());
    perform(membership.start(steady_now()));
    while (!membership.outcome()) {
      serve_messages();
      if (auto stop = take_stop_request()) {
        perform(stop->at_once ? membership.on_stop_request(1, stop->reason, steady_now())
                              : membership.on_stop_wish(stop->reason, steady_now()));
      }
      perform(membership.on_tick(steady_now()));
      acknowledge();
      probe();
      show_progress(false);
      if (record_failure) record([&] { records.retry(); });
      show([&] { board->flush_if_due(steady_now()); });
      if (page.due(steady_now())) page.publish(membership.view(steady_now()), speed, steady_now());
    }
    page.publish_last(membership.view(steady_now()), speed);
    show([&] { board->flush(); });
    bool written = false;
    record([&] {
      records.retry();
      // Once more, now that every worker's Leave has told how much memory it took.
      if (final_report) records.final(*final_report, peak_rss_bytes);
      written = true;
    });
    if (hub.dropped() > 0) logger.warning("{} malformed messages were dropped", hub.dropped());
    hub.close(kLinger);
    outcome = *membership.outcome();
    if (record_failure && !written && outcome.exit_code == 0) outcome = {.exit_code = 1, .reason = *record_failure};
    return outcome.exit_code;
  }

  // Until the next tick, or until a timer is due.
  std::chrono::milliseconds patience() const {
    const std::optional<Time> due = membership.next_due();
    if (!due) return kTick;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due - steady_now());
    return std::clamp<std::chrono::milliseconds>(left, 0ms, kTick);
  }

  void serve_messages() {
    auto message = hub.receive(patience());
    const Time batch_end = steady_now() + kLongestBatch;
    while (message) {
      serve(*message);
      if (steady_now() > batch_end) return;
      message = hub.receive(0ms);
    }
  }

  void serve(const Message& message) {
    if (!leads()) return;
    perform(membership.on_message(message, steady_now()));
    std::visit(
        [&](const auto& body) {
          using Kind = std::decay_t<decltype(body)>;
          if constexpr (std::is_same_v<Kind, RegisterAgent>) {
            announce_page(message.sender);
            tell_what_waits(message.sender);
          } else if constexpr (std::is_same_v<Kind, EventReport>) {
            record_event(message, body.kind, body.step, body.detail);
            if (worth_a_line(body.kind)) notify(fmt::format("step {}: warning: {}", body.step, body.detail));
            if (body.kind == "step_skipped" && !std::exchange(told_of_skips, true))
              notify(
                  fmt::format("step {}: warning: the loss or its gradient is not finite: the step is skipped, as "
                              "train.on_nonfinite says; events.jsonl lists every such step",
                              body.step));
          } else if constexpr (std::is_same_v<Kind, SealAnswer>) {
            at("answer");
          } else if constexpr (std::is_same_v<Kind, Register>) {
            // Who comes back to a scheduler waits for a word of it.
            if (membership.number_of(message.sender)) send(message.sender, recorded());
          } else if constexpr (std::is_same_v<Kind, Leave>) {
            peak_rss_bytes = std::max(peak_rss_bytes.value_or(0), body.peak_rss_bytes);
          } else if constexpr (std::is_same_v<Kind, StepReport> || std::is_same_v<Kind, EvalReport> ||
                               std::is_same_v<Kind, FinalReport> || std::is_same_v<Kind, HistogramReport> ||
                               std::is_same_v<Kind, TextReport> || std::is_same_v<Kind, GraphReport>) {
            if (membership.may_report(message)) {
              reporter = message.sender;
              take_report(message, body);
            }
          }
        },
        message.body);
  }

  void take_report(const Message& message, const StepReport& report) {
    bool added = false;
    record([&] { added = records.step(report, message.ballot); });
    if (!added) return;
    page.add(report, message.sender);
    show([&] { board->add(report, wall_clock_s()); });
    speed.add(report, steady_now());
    progress_is_new = true;
  }

  // Whoever is rank 0 next may not know what the one before it has sent.
  void take_report(const Message& message, const EvalReport& report) {
    if (!records.evaluation(report.step)) return;
    const std::string result = evaluation_detail(report);
    record_event(message, "eval", report.step, result);
    show([&] { board->add(report, wall_clock_s()); });
    notify(fmt::format("step {}: {}", report.step, result));
  }

  void take_report(const Message&, const HistogramReport& report) {
    show([&] { board->add(report, wall_clock_s()); });
  }

  void take_report(const Message&, const TextReport& report) {
    show([&] { board->add(report, wall_clock_s()); });
  }

  void take_report(const Message&, const GraphReport& report) {
    show([&] { board->add(report, wall_clock_s()); });
  }

  void take_report(const Message&, const FinalReport& report) {
    if (final_report) return;
    show([&] { board->flush(); });
    record([&] {
      at("final");
      records.final(report, std::nullopt);
      at("finaled");
      final_report = report;
    });
    show_progress(true);
    if (!final_report || !leads()) return;
    for (const Uuid& worker : membership.workers()) send(worker, recorded());
    perform(membership.on_final_recorded(steady_now()));
  }

  void record_event(const Message& message, const std::string& kind, std::int64_t step, const std::string& detail) {
    const auto number = membership.number_of(message.sender);
    perform(Event{.kind = kind,
                  .worker = number ? std::optional(message.sender) : std::nullopt,
                  .rank = number.value_or(-1),
                  .ballot = membership.epoch_ballot(),
                  .step = step,
                  .detail = detail});
  }

  // What the journal does not hold is not acted upon.
  void perform(const Actions& actions) {
    std::int64_t seals = 0;
    std::int64_t epochs = 0;
    for (const Action& action : actions) {
      if (superseded) return;
      const Send* send = std::get_if<Send>(&action);
      const bool announces = send != nullptr && std::holds_alternative<Epoch>(send->body);
      const bool seals_one = send != nullptr && std::holds_alternative<Seal>(send->body);
      if (announces && epochs == 0) at("announce");
      if (const Append* append = std::get_if<Append>(&action)) {
        if (!this->append(append->record)) return;
      } else {
        std::visit([this](const auto& value) { perform(value); }, action);
      }
      if (announces && ++epochs == 1) at("announcing");
      if (seals_one && ++seals == 1) at("sealing");
    }
    if (seals > 0) at("seal");
    if (epochs > 0) at("announced");
  }
  void perform(const Append&) {}
  void perform(const Send& action) { hub.send(action.to, action.ballot, action.body); }
  void perform(const Tell& action) { notify(action.text); }

  bool append(const JournalRecord& record) {
    if (const auto* epoch = std::get_if<EpochRecord>(&record)) logger.set_ballot(epoch->ballot.to_string());
    try {
      at("journal");
      journal.append(record);
      at("journaled");
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInterrupted) {
        give_way(error.what());
      } else if (!std::exchange(journal_lost, true)) {
        logger.error("{}", error.what());
        perform(membership.on_records_lost(error.what(), steady_now()));
      }
      return false;
    }
  }

  void perform(const Event& event) {
    if (event.kind == "run_stopped") {
      logger.error("{}", event.detail);
    } else {
      logger.info("{}{}: {}", event.kind, event.rank >= 0 ? fmt::format(" (rank {})", event.rank) : "", event.detail);
    }
    const double time_s = wall_clock_s();
    record([&] { records.event(event, time_s); });
    page.add(event, time_s);
  }

  // Writes something down. A run whose records cannot be kept is saved and stopped. What was to be written is kept
  // meanwhile and tried again: the checkpoint holds those steps.
  template <typename Write>
  void record(Write write) {
    if (!leads()) return;
    try {
      write();
    } catch (const Error& error) {
      if (!leads() || std::exchange(record_failure, error.what())) return;
      logger.error("{}", error.what());
      perform(membership.on_records_lost(error.what(), steady_now()));
    }
  }

  // Adds to TensorBoard's files, without which a run goes on. After one line no more is written: what follows a torn
  // record cannot be read.
  template <typename Write>
  void show(Write write) {
    if (board_lost || !leads()) return;
    try {
      write();
    } catch (const Error& error) {
      if (!leads()) return;
      board_lost = true;
      board.reset();
      const std::string what = fmt::format("{}; the run goes on, and TensorBoard shows it up to step {}", error.what(),
                                           records.recorded_step());
      perform(Event{.kind = "tensorboard_lost",
                    .worker = std::nullopt,
                    .ballot = membership.epoch_ballot(),
                    .step = records.recorded_step(),
                    .detail = what});
      notify("warning: " + what);
    }
  }

  // True unless the connection is closed.
  bool send(const Uuid& to, const Body& body) { return hub.send(to, membership.ballot(), body); }

  Recorded recorded() const { return {.step = records.recorded_step(), .final = records.has_final()}; }

  // At once to who waits for it; the others, who keep their reports until then, get it with the next probe.
  void acknowledge() {
    if (!reporter || records.recorded_step() == acknowledged_step || !leads()) return;
    acknowledged_step = records.recorded_step();
    send(*reporter, recorded());
  }

  // Whether no scheduler of a later term has begun. Whoever was stopped for a while may have been replaced, so this is
  // asked before anything is written, and before anybody is told that it was.
  bool leads() {
    if (superseded) return false;
    try {
      journal.check();
    } catch (const Error& error) {
      give_way(error.what());
    }
    return !superseded;
  }

  // To a scheduler of a later term: this one ends, and says nothing to the workers, which are that one's.
  void give_way(const std::string& why) {
    logger.error("{}", why);
    superseded = true;
    if (board) board->discard();  // else it would be written when this one ends
    membership.on_superseded(why);
  }

  // Who has closed its connection is gone, whatever became of its process. A worker that hears nothing would think the
  // same of the scheduler.
  void probe() {
    const Time now = steady_now();
    if (now < next_probe) return;
    next_probe = now + kProbeInterval;
    if (!leads()) return;
    for (const Uuid& connection : membership.connections()) {
      // Once may be a line that broke: who lives has made another by the next time.
      if (send(connection, recorded())) {
        unreachable.erase(connection);
      } else if (!unreachable.insert(connection).second) {
        unreachable.erase(connection);
        perform(membership.on_closed(connection, now));
      }
    }
  }

  void show_progress(bool at_once) {
    const Time now = steady_now();
    if (!progress_is_new || (!at_once && now < next_progress)) return;
    progress_is_new = false;
    next_progress = now + kProgressInterval;
    const Progress progress = speed.progress(options.steps);
    logger.set_step(progress.step);
    if (options.on_progress) options.on_progress(progress);
    for (const Uuid& agent : membership.agents()) send(agent, progress);
  }

  // The user, through the launchers; while there is none it is kept for the first.
  void notify(const std::string& text) {
    if (options.on_notice) options.on_notice(text);
    const std::vector<Uuid> agents = membership.agents();
    for (const Uuid& agent : agents) send(agent, Notice{.text = text});
    if (agents.empty() && untold.size() < kMostUntold) untold.push_back(text);
  }

  void tell_what_waits(const Uuid& agent) {
    for (const std::string& text : std::exchange(untold, {})) send(agent, Notice{.text = text});
  }

  // To whom the user looks at, once.
  void announce_page(const Uuid& agent) {
    if (const std::string text = page.announcement(); !text.empty() && !std::exchange(told_of_page, true))
      send(agent, Notice{.text = text});
  }

  void at(std::string_view instant) {
    if (options.at_instant) options.at_instant(instant, ++instants[instant]);
  }

  struct StopCall {
    std::string reason;
    bool at_once;
  };
  void call_stop(StopCall call) {
    {
      const std::lock_guard lock(stop_mutex);
      stop_requested = std::move(call);
    }
    hub.wake();
  }
  std::optional<StopCall> take_stop_request() {
    const std::lock_guard lock(stop_mutex);
    return std::exchange(stop_requested, std::nullopt);
  }

  const SchedulerOptions options;
  Logger& logger;
  const Uuid self;
  Hub hub;
  const Uuid run_id;
  JournalPast decided;  // by schedulers before this one; until membership has it
  Journal journal;
  Records records;
  std::optional<Board> board;
  StatusPage page;  // made once the records are those of a run that goes on
  Membership membership;
  Speed speed;

  std::optional<Uuid> reporter;  // who sent the last report
  std::int64_t acknowledged_step;
  std::optional<FinalReport> final_report;  // once it is on disk
  std::optional<std::int64_t> peak_rss_bytes;
  std::optional<std::string> record_failure;  // the last one
  bool board_lost = false;
  bool journal_lost = false;
  std::map<std::string_view, std::int64_t> instants;  // how often each has come by
  bool superseded = false;  // by a scheduler of a later term: nothing is said or written any more
  bool progress_is_new = false;
  bool told_of_skips = false;
  bool told_of_page = false;
  std::vector<std::string> untold;  // notices
  Time next_progress;
  Time next_probe;
  std::set<Uuid> unreachable;  // at the last probe
  Outcome outcome;             // once run() has returned

  std::mutex stop_mutex;
  std::optional<StopCall> stop_requested;  // guarded by stop_mutex
};

Scheduler::Scheduler(SchedulerOptions options, Logger& logger)
    : impl_(std::make_unique<Impl>(std::move(options), logger)) {}

Scheduler::~Scheduler() = default;

const Credentials& Scheduler::credentials() const { return impl_->hub.credentials(); }

int Scheduler::run() { return impl_->run(); }

const std::string& Scheduler::reason() const { return impl_->outcome.reason; }

void Scheduler::request_stop(std::string reason) { impl_->call_stop({.reason = std::move(reason), .at_once = false}); }

void Scheduler::stop_now(std::string reason) { impl_->call_stop({.reason = std::move(reason), .at_once = true}); }

}  // namespace convoy::scheduler
