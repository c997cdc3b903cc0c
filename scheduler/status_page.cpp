#include "scheduler/status_page.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>

#include "cluster/address.h"
#include "core/base/error.h"
#include "scheduler/recipe_facts.h"

namespace convoy::scheduler {

namespace {

constexpr std::chrono::milliseconds kInterval{250};
constexpr char kAnyPort[] = "127.0.0.1:0";

}  // namespace

StatusPage::StatusPage(const StatusPageOptions& options, Logger& logger)
    : options_(options), recipe_(read_recipe_facts(options.run_directory).name), history_(options.run_directory) {
  if (options_.http == kNoHttp) return;
  listen(logger);
  if (server_) leave_word(logger);
}

void StatusPage::listen(Logger& logger) {
  HttpOptions http{.listen = options_.http.empty() ? kAnyPort : options_.http};
  const bool takes_any = http.listen.ends_with(":0");
  if (const auto before = HttpFile::read(options_.run_directory); before && before->host == cluster::host_name()) {
    http.token = before->token;
    const std::string wanted = http.listen.substr(0, http.listen.rfind(':'));
    if (takes_any && before->address.substr(0, before->address.rfind(':')) == wanted) {
      try {
        server_ = std::make_unique<HttpServer>(HttpOptions{.listen = before->address, .token = http.token});
        return;
      } catch (const Error&) {  // somebody else has the port by now
      }
    }
  }
  try {
    server_ = std::make_unique<HttpServer>(http);
  } catch (const Error& error) {
    if (!options_.http.empty()) throw;
    logger.warning("{}", error.what());
  }
}

void StatusPage::leave_word(Logger& logger) {
  // Not with the token: logs are read by many.
  logger.info("status page at http://{}/ (`convoy status {}` asks it)", server_->address(), options_.run_directory);
  try {
    file_ = std::make_unique<HttpFile>(options_.run_directory, HttpPlace{.address = server_->address(),
                                                                         .token = server_->token(),
                                                                         .host = cluster::host_name(),
                                                                         .pid = getpid(),
                                                                         .scheduler = options_.scheduler});
  } catch (const Error& error) {
    logger.warning("{}", error.what());
  }
}

std::string StatusPage::announcement() const {
  if (options_.http.empty() || !server_) return "";
  return fmt::format("status page: {}", server_->url());
}

void StatusPage::publish(RunView view, const Speed& speed, Time now) {
  if (!server_) return;
  next_ = now + kInterval;
  view.live = true;
  view.time_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  view.scheduler = options_.scheduler;
  view.term = options_.term;
  view.run_directory = options_.run_directory;
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
  server_->publish(std::make_shared<const RunView>(std::move(view)));
}

}  // namespace convoy::scheduler
