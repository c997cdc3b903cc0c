#include "scheduler/status_page.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>

#include "cluster/address.h"
#include "core/base/error.h"
#include "scheduler/recipe_facts.h"

namespace convoy::scheduler {

namespace {

constexpr std::chrono::milliseconds kInterval{250};
constexpr std::chrono::seconds kPause{1};  // before an address is tried again
constexpr char kAnyPort[] = "127.0.0.1:0";

// For readers elsewhere.
std::string absolute(const std::string& directory) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(directory, error).lexically_normal();
  return error ? directory : path.string();
}

}  // namespace

StatusPage::StatusPage(const StatusPageOptions& options, Logger& logger)
    : options_(options),
      logger_(logger),
      directory_(absolute(options.run_directory)),
      recipe_(read_recipe_facts(options.run_directory).name),
      history_(options.run_directory) {
  if (options_.http != kNoHttp) listen();
}

void StatusPage::listen() {
  const bool first = !std::exchange(tries_again_, false);
  try {
    const auto before = HttpFile::read(options_.run_directory);
    const bool ours = before && before->host == cluster::host_name();
    server_ = server_of(ours ? before : std::nullopt);
  } catch (const Error& error) {
    const bool asked = !options_.http.empty();
    if (asked && (!options_.restarted || error.code() != ErrorCode::kUnavailable)) throw;
    tries_again_ = asked;
    if (first) logger_.warning("{}{}", error.what(), asked ? "; tried again every second" : "");
    return;
  }
  leave_word();
}

// `before`: where the run's page was served until its scheduler was killed.
std::unique_ptr<HttpServer> StatusPage::server_of(const std::optional<HttpPlace>& before) const {
  const std::string listen = options_.http.empty() ? kAnyPort : options_.http;
  const std::string token = before ? before->token : "";
  if (before && listen.ends_with(":0") && listen == before->address.substr(0, before->address.rfind(':')) + ":0") {
    try {
      return std::make_unique<HttpServer>(HttpOptions{.listen = before->address, .token = token});
    } catch (const Error&) {  // somebody else has the port by now
    }
  }
  return std::make_unique<HttpServer>(HttpOptions{.listen = listen, .token = token});
}

void StatusPage::leave_word() {
  // Not with the token: logs are read by many.
  logger_.info("status page at http://{}/ (`convoy status {}` asks it)", server_->address(), options_.run_directory);
  try {
    file_ = std::make_unique<HttpFile>(options_.run_directory, HttpPlace{.address = server_->address(),
                                                                         .token = server_->token(),
                                                                         .host = cluster::host_name(),
                                                                         .pid = getpid(),
                                                                         .scheduler = options_.scheduler});
  } catch (const Error& error) {
    logger_.warning("{}", error.what());
  }
}

void StatusPage::add(const Event& event, double time_s) {
  if (recipe_.empty() && event.kind == "training_started") recipe_ = read_recipe_facts(options_.run_directory).name;
  history_.add(event, time_s);
}

std::string StatusPage::announcement() const {
  if (options_.http.empty() || !server_) return "";
  return fmt::format("status page: {}", server_->url());
}

void StatusPage::publish(RunView view, const Speed& speed, Time now) {
  next_ = now + (server_ ? kInterval : kPause);
  if (tries_again_) listen();
  if (server_ && !server_->publish(complete(std::move(view), speed))) next_ = now;
}

void StatusPage::publish_last(RunView view, const Speed& speed) {
  if (server_) server_->publish_last(complete(std::move(view), speed));
}

std::shared_ptr<const RunView> StatusPage::complete(RunView view, const Speed& speed) const {
  view.live = true;
  view.time_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  view.scheduler = options_.scheduler;
  view.term = options_.term;
  view.run_directory = directory_;
  view.recipe = recipe_;
  view.steps = options_.steps;
  history_.describe(view);
  history_.describe_workers(view);
  // The same numbers as on the terminal.
  if (const cluster::Progress progress = speed.progress(options_.steps); progress.rate > 0.0) {
    view.rate = progress.rate;
    view.rate_unit = progress.rate_unit;
    view.seconds_left = progress.seconds_left;
  }
  return std::make_shared<const RunView>(std::move(view));
}

}  // namespace convoy::scheduler
