// Serves an HttpSite from a thread of its own. The scheduler only hands it views: whatever clients do, the run does not
// wait for them.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "scheduler/run_view.h"

namespace convoy::scheduler {

struct HttpOptions {
  std::string listen = "127.0.0.1:0";  // "HOST:PORT", "[::1]:PORT"; port 0 takes a free one
  // Asked of everybody where `listen` is not loopback; empty: one is made.
  std::string token{};
  // A request must have come within this time, and its answer be taken.
  std::chrono::milliseconds timeout{10000};
  std::size_t most_connections = 64;  // more are turned away with 503
};
inline constexpr std::size_t kMostHeaderBytes = 8 * 1024;
inline constexpr std::size_t kMostBodyBytes = 1024;

class HttpServer {
 public:
  // Throws Error(kUsage) for an address that makes no sense, Error(kUnavailable) for one that cannot be bound.
  explicit HttpServer(const HttpOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Any thread. False where a client is just being told of the view before: a moment later it will do.
  bool publish(std::shared_ptr<const RunView> view);
  // How the run ended. Whoever waits for that is told at once; the destructor gives them a moment to take it.
  void publish_last(std::shared_ptr<const RunView> view);
  const std::string& address() const;  // with the port that was bound
  const std::string& token() const;    // empty: none is asked for
  // What a user opens: with the token, and a host by which others reach it.
  std::string url() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace convoy::scheduler
