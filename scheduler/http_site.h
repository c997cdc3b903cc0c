// What the status page's server says to whom, without any socket: the page itself, /status.json, /metrics, /healthz.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "scheduler/run_view.h"

namespace convoy::scheduler {

// The parts of a request that an answer depends on.
struct HttpAsk {
  std::string method;         // "GET"
  std::string target;         // "/status.json?token=…"
  std::string host;           // Host; empty: none was given
  std::string authorization;  // "Bearer …"
};

struct HttpReply {
  unsigned status = 200;
  std::string type;                         // of the content
  std::shared_ptr<const std::string> body;  // never null
  std::string allow{};                      // methods, with status 405
};

class HttpSite {
 public:
  // `token`: asked of everybody, as ?token=… or "Authorization: Bearer …". Empty: of nobody, but then only requests
  // to a host of this machine's own are answered (a page elsewhere must not read this one under a name of its own).
  explicit HttpSite(std::string token) : token_(std::move(token)) {}

  // What is told from now on. Swaps a pointer; from any thread, as answer(). Waits for nobody: false where a client is
  // just being told.
  bool publish(std::shared_ptr<const RunView> view);
  HttpReply answer(const HttpAsk& ask);
  // How much later the answer is to be given: "/status.json?hold=MILLISECONDS" asks for it, so that its client hears at
  // once when the run is over, which is then the server's to see to.
  std::chrono::milliseconds hold(const HttpAsk& ask) const;

 private:
  // 0: it is answered; otherwise the status with which it is refused.
  unsigned refusal(const HttpAsk& ask) const;
  std::shared_ptr<const RunView> view() const;
  std::shared_ptr<const std::string> json(const std::shared_ptr<const RunView>& view);

  const std::string token_;
  mutable std::mutex mutex_;
  std::shared_ptr<const RunView> view_ = std::make_shared<RunView>();  // guarded by mutex_
  std::mutex json_mutex_;
  std::shared_ptr<const RunView> written_;  // what json_ says; this and json_: guarded by json_mutex_
  std::shared_ptr<const std::string> json_;
};

}  // namespace convoy::scheduler
