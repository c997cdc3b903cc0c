#include "scheduler/http_server.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "cluster/address.h"
#include "core/base/background.h"
#include "core/base/error.h"
#include "core/base/uuid.h"
#include "scheduler/http_site.h"

namespace convoy::scheduler {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptPause{100};  // after an accept that failed: descriptors may be short
constexpr std::chrono::milliseconds kLastAnswers{200};  // are given to the last ones when the server ends
constexpr int kTokenBytes = 16;

// Nothing from elsewhere may be loaded by the page, nor the page be framed; the address may hold a token.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// "HOST:PORT" as addresses to bind.
tcp::endpoint endpoint_of(asio::io_context& io, const std::string& text) {
  const auto refuse = [&text] [[noreturn]] {
    fail(ErrorCode::kUsage, "--http {}: expected HOST:PORT, as in 127.0.0.1:8080 (port 0 takes a free one), or none",
         text);
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) refuse();
  const std::string port = text.substr(colon + 1);
  if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos || std::stoi(port) > 65535) refuse();
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    refuse();
  }
  error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, port, tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) fail(ErrorCode::kUsage, "--http {}: unknown host {}: {}", text, host, error.message());
  for (const auto& entry : found) {
    if (entry.endpoint().address().is_v4()) return entry.endpoint();
  }
  return found.begin()->endpoint();
}

std::string text_of(const tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  return fmt::format(fmt::runtime(address.is_v6() ? "[{}]:{}" : "{}:{}"), address.to_string(), endpoint.port());
}

// Programs that this one starts do not inherit it.
template <typename Socket>
void close_on_exec(Socket& socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

std::string string_of(beast::string_view view) { return {view.data(), view.size()}; }

}  // namespace

struct HttpServer::Impl {
  explicit Impl(const HttpOptions& http_options)
      : options(http_options), endpoint(listen()), token(token_for(endpoint)), site(token) {
    asio::co_spawn(io, accept(), asio::detached);
    thread = std::thread([this] { run(); });
  }
  ~Impl() {
    asio::co_spawn(io, finish(), asio::detached);
    thread.join();
  }

  void run() noexcept {
    work_in_background();  // however many ask, the run's own threads come first
    while (!io.stopped()) {
      try {
        io.run();
      } catch (const std::exception&) {  // memory was short: for one client's answer, not for the scheduler
      }
    }
  }

  // Answers under way go out before the end, and to whoever waits for the end of the run.
  asio::awaitable<void> finish() {
    end_holds();
    asio::steady_timer pause(io);
    const auto last = std::chrono::steady_clock::now() + kLastAnswers;
    while (answering > 0 && std::chrono::steady_clock::now() < last) {
      pause.expires_after(std::chrono::milliseconds(1));
      co_await pause.async_wait(kAwait);
    }
    io.stop();
  }

  tcp::endpoint listen() {
    const tcp::endpoint wanted = endpoint_of(io, options.listen);
    try {
      acceptor.open(wanted.protocol());
      close_on_exec(acceptor);
      acceptor.set_option(tcp::acceptor::reuse_address(true));
      acceptor.bind(wanted);
      acceptor.listen();
      return acceptor.local_endpoint();
    } catch (const boost::system::system_error& error) {
      fail(ErrorCode::kUnavailable, "cannot serve the status page at {}: {}", options.listen, error.code().message());
    }
  }
  std::string token_for(const tcp::endpoint& bound) const {
    if (bound.address().is_loopback()) return "";
    return options.token.empty() ? random_hex(kTokenBytes) : options.token;
  }

  asio::awaitable<void> accept() {
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(kAwait);
      if (error) {
        asio::steady_timer pause(io, kAcceptPause);
        co_await pause.async_wait(kAwait);
        continue;
      }
      close_on_exec(socket);
      if (connections >= options.most_connections) {
        turn_away(socket);
        continue;
      }
      asio::co_spawn(io, serve(beast::tcp_stream(std::move(socket))), asio::detached);
    }
  }

  static void turn_away(tcp::socket& socket) {
    error_code ignored;
    socket.non_blocking(true, ignored);
    static constexpr std::string_view kBusy =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n";
    socket.write_some(asio::buffer(kBusy), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }

  // Counts a connection for as long as it is served, or an answer for as long as it is under way.
  struct Counted {
    explicit Counted(std::size_t& counter) : count(counter) { ++count; }
    ~Counted() { --count; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    std::size_t& count;
  };

  asio::awaitable<void> serve(beast::tcp_stream stream) {
    const Counted counted(connections);
    beast::flat_buffer buffer(kMostHeaderBytes + kMostBodyBytes);
    for (bool go_on = true; go_on;) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(kMostHeaderBytes);
      parser.body_limit(kMostBodyBytes);
      stream.expires_after(options.timeout);  // for all of the request, however slowly it comes
      const auto [error, read] = co_await http::async_read(stream, buffer, parser, kAwait);
      const Counted answered(answering);
      if (!error) co_await hold(site.hold(ask_of(parser.get())));
      const HttpReply reply = error ? reply_to(error) : site.answer(ask_of(parser.get()));
      if (error && reply.status == 0) break;
      const bool head = !error && parser.get().method() == http::verb::head;
      go_on = !error && parser.get().keep_alive();
      stream.expires_after(options.timeout);
      if (!co_await write(stream, reply, error ? 11 : parser.get().version(), go_on, head)) break;
    }
    // What it still sends is not waited for.
    error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  static HttpReply plain(unsigned status, std::string text) {
    return {.status = status,
            .type = "text/plain; charset=utf-8",
            .body = std::make_shared<const std::string>(std::move(text))};
  }

  // To what is no request; status 0: there is nobody to tell.
  static HttpReply reply_to(const error_code& error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return plain(431, fmt::format("431: expected a header of at most {} bytes\n", kMostHeaderBytes));
    if (error == http::error::body_limit) return plain(413, "413: expected a request without a body\n");
    const bool malformed = error.category() == make_error_code(http::error::bad_method).category() &&
                           error != http::error::end_of_stream && error != http::error::partial_message;
    return plain(malformed ? 400 : 0, "400: expected an HTTP request\n");
  }

  static HttpAsk ask_of(const http::request<http::string_body>& request) {
    return {.method = string_of(request.method_string()),
            .target = string_of(request.target()),
            .host = string_of(request[http::field::host]),
            .authorization = string_of(request[http::field::authorization])};
  }

  // Returns after `time`, or as soon as the run is over.
  asio::awaitable<void> hold(std::chrono::milliseconds time) {
    if (time <= std::chrono::milliseconds::zero() || over) co_return;
    asio::steady_timer timer(io, time);
    holds.insert(&timer);
    co_await timer.async_wait(kAwait);
    holds.erase(&timer);
  }
  void end_holds() {
    over = true;
    for (asio::steady_timer* timer : holds) timer->cancel();
  }

  // False when it could not be written.
  static asio::awaitable<bool> write(beast::tcp_stream& stream, const HttpReply& reply, unsigned version,
                                     bool keep_alive, bool head) {
    http::response<http::span_body<const char>> response;
    response.version(version);
    response.result(reply.status);
    response.set(http::field::server, "convoy");
    response.set(http::field::content_type, reply.type);
    response.set(http::field::cache_control, "no-store");
    response.set("Referrer-Policy", "no-referrer");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("Content-Security-Policy", kPolicy);
    if (!reply.allow.empty()) response.set(http::field::allow, reply.allow);
    if (reply.status == 401) response.set(http::field::www_authenticate, "Bearer realm=\"convoy\"");
    response.keep_alive(keep_alive);
    response.content_length(reply.body->size());
    if (!head) response.body() = {reply.body->data(), reply.body->size()};
    http::response_serializer<http::span_body<const char>> serializer(response);
    const auto [error, written] = head ? co_await http::async_write_header(stream, serializer, kAwait)
                                       : co_await http::async_write(stream, serializer, kAwait);
    co_return !error;
  }

  const HttpOptions options;
  // Of the thread; they outlive what `io` holds:
  std::size_t connections = 0;
  std::size_t answering = 0;            // requests that are read and not answered yet
  std::set<asio::steady_timer*> holds;  // of those that wait
  bool over = false;                    // nobody waits any more
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  const tcp::endpoint endpoint;
  const std::string token;
  HttpSite site;
  std::string address = text_of(endpoint);
  std::thread thread;
};

HttpServer::HttpServer(const HttpOptions& options) : impl_(std::make_unique<Impl>(options)) {}

HttpServer::~HttpServer() = default;

bool HttpServer::publish(std::shared_ptr<const RunView> view) { return impl_->site.publish(std::move(view)); }

void HttpServer::publish_last(std::shared_ptr<const RunView> view) {
  while (!impl_->site.publish(view)) std::this_thread::yield();
  boost::asio::post(impl_->io, [impl = impl_.get()] { impl->end_holds(); });
}

const std::string& HttpServer::address() const { return impl_->address; }

const std::string& HttpServer::token() const { return impl_->token; }

std::string HttpServer::url() const {
  std::string place = impl_->address;
  if (impl_->endpoint.address().is_unspecified()) {
    const auto own = cluster::own_addresses();
    place = fmt::format("{}:{}", own.empty() ? cluster::host_name() : own.front(), impl_->endpoint.port());
  }
  return fmt::format("http://{}/{}", place, impl_->token.empty() ? "" : "?token=" + impl_->token);
}

}  // namespace convoy::scheduler
