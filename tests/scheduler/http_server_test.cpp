// The status page's server over real sockets: what Beast's own client gets, and what rude clients do not break.
#include "scheduler/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/base/unique_fd.h"
#include "scheduler/http_client.h"
#include "scheduler/page.h"
#include "scheduler/run_view_json.h"
#include "tests/scheduler/sample_view.h"
#include "tests/support/mutations.h"

namespace convoy::scheduler {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::uint16_t port_of(const HttpServer& server) {
  return static_cast<std::uint16_t>(std::stoi(server.address().substr(server.address().rfind(':') + 1)));
}

// A Beast client that keeps its connection.
class Client {
 public:
  explicit Client(const HttpServer& server) : stream_(io_) {
    stream_.connect(asio::ip::tcp::endpoint(asio::ip::make_address("127.0.0.1"), port_of(server)));
  }
  http::response<http::string_body> ask(http::verb verb, const std::string& target, const std::string& body = "") {
    http::request<http::string_body> request(verb, target, 11);
    request.set(http::field::host, "127.0.0.1");
    request.body() = body;
    request.prepare_payload();
    http::write(stream_, request);
    http::response_parser<http::string_body> parser;
    parser.skip(verb == http::verb::head);
    http::read(stream_, buffer_, parser);
    return parser.release();
  }

 private:
  asio::io_context io_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
};

// A client that says what it likes.
class Socket {
 public:
  explicit Socket(const HttpServer& server) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_of(server));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  // False once the other end is closed.
  bool say(const std::string& bytes) const {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // What comes until the other end is closed; nothing if it is not within `limit`.
  std::optional<std::string> rest(std::chrono::milliseconds limit) const {
    const auto end = Clock::now() + limit;
    std::string bytes;
    char buffer[4096];
    for (;;) {
      pollfd waiting{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
      if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) == 0) return std::nullopt;
      const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return bytes;
      bytes.append(buffer, static_cast<std::size_t>(got));
    }
  }

 private:
  UniqueFd fd_;
};

// "400" of "HTTP/1.1 400 Bad Request…".
std::string status_of(const std::optional<std::string>& answer) {
  return answer && answer->starts_with("HTTP/1.1 ") ? answer->substr(9, 3) : "none";
}

void expect_well(const HttpServer& server) {
  EXPECT_EQ(http_get(server.address(), "/healthz", server.token(), 5s).body, "ok\n");
}

TEST(HttpServerTest, Routes) {
  HttpServer server({});
  server.publish(std::make_shared<RunView>(sample_view()));
  EXPECT_TRUE(server.token().empty());
  EXPECT_EQ(server.url(), "http://" + server.address() + "/");
  Client client(server);  // one connection for all
  const auto page = client.ask(http::verb::get, "/");
  EXPECT_EQ(page.result_int(), 200u);
  EXPECT_EQ(page.body(), kPage);
  EXPECT_NE(page["Content-Security-Policy"].find("default-src 'none'"), beast::string_view::npos);
  EXPECT_EQ(page[http::field::cache_control], "no-store");
  const auto status = client.ask(http::verb::get, "/status.json");
  EXPECT_EQ(status[http::field::content_type], "application/json");
  EXPECT_EQ(status.body(), to_json(sample_view()));
  EXPECT_EQ(client.ask(http::verb::get, "/metrics").body().substr(0, 18), "# HELP convoy_info");
  EXPECT_EQ(client.ask(http::verb::get, "/nothing").result_int(), 404u);
  const auto refused = client.ask(http::verb::post, "/", "x=1");
  EXPECT_EQ(refused.result_int(), 405u);
  EXPECT_EQ(refused[http::field::allow], "GET, HEAD");
  const auto head = client.ask(http::verb::head, "/status.json");
  EXPECT_EQ(head.result_int(), 200u);
  EXPECT_EQ(head[http::field::content_length], std::to_string(to_json(sample_view()).size()));
  EXPECT_TRUE(head.body().empty());
  EXPECT_EQ(client.ask(http::verb::get, "/healthz").body(), "ok\n");
}

TEST(HttpServerTest, BeyondLoopbackATokenIsNeeded) {
  HttpServer server({.listen = "0.0.0.0:0"});
  ASSERT_EQ(server.token().size(), 32u);
  EXPECT_TRUE(server.url().ends_with("/?token=" + server.token())) << server.url();
  EXPECT_EQ(server.url().find("0.0.0.0"), std::string::npos) << server.url();
  const std::string address = "127.0.0.1:" + std::to_string(port_of(server));
  for (const char* target : {"/", "/status.json", "/metrics", "/healthz", "/?token=00000000000000000000000000000000"})
    EXPECT_EQ(http_get(address, target, "", 5s).status, 401u) << target;
  EXPECT_EQ(http_get(address, "/status.json", "wrong", 5s).status, 401u);
  EXPECT_EQ(http_get(address, "/status.json", server.token(), 5s).status, 200u);
  EXPECT_EQ(http_get(address, "/?token=" + server.token(), "", 5s).status, 200u);
  HttpServer given({.listen = "0.0.0.0:0", .token = "of-before"});
  EXPECT_EQ(given.token(), "of-before");
}

TEST(HttpServerTest, AddressesThatMakeNoSense) {
  for (const char* listen : {"", ":", "8080", "host", ":8080", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                             "127.0.0.1:-1", "::1:80", "[::1]", "[]:80", "tcp://127.0.0.1:0"}) {
    try {
      const HttpServer server({.listen = listen});
      ADD_FAILURE() << listen;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage) << error.what();
      EXPECT_NE(std::string(error.what()).find("--http"), std::string::npos) << error.what();
    }
  }
  const HttpServer first({});
  try {
    const HttpServer second({.listen = first.address()});
    ADD_FAILURE() << "a port for two";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(first.address()), std::string::npos) << error.what();
  }
}

TEST(HttpServerTest, WhatIsNoRequestIsRefused) {
  const HttpServer server({});
  for (const std::string& bytes :
       {std::string("garbage\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"), std::string("\0\0\0\0\r\n\r\n", 8),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)}) {
    const Socket socket(server);
    EXPECT_TRUE(socket.say(bytes));
    EXPECT_EQ(status_of(socket.rest(5s)), "400") << bytes;
  }
  expect_well(server);
}

TEST(HttpServerTest, RandomBytesDoNoHarm) {
  const HttpServer server({.timeout = 200ms});
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    std::string bytes = round % 2 == 0 ? "GET / HTTP/1.1\r\nHost: localhost\r\n" : "";
    const std::size_t length = random() % 3000;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(random());
    const Socket socket(server);
    socket.say(bytes);  // and away, answered or not
  }
  expect_well(server);
}

TEST(HttpServerTest, LimitsOfARequest) {
  const HttpServer server({});
  const std::string line = "X-Filler: " + std::string(1000, 'x') + "\r\n";
  std::string header = "GET / HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 9; ++i) header += line;
  {
    const Socket socket(server);
    socket.say(header + "\r\n");
    EXPECT_EQ(status_of(socket.rest(5s)), "431");
  }
  {
    const Socket socket(server);
    socket.say("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n");
    EXPECT_EQ(status_of(socket.rest(5s)), "431");
  }
  for (const char* length : {"Content-Length: 2000000000\r\n\r\n", "Content-Length: 1025\r\n\r\n"}) {
    const Socket socket(server);
    socket.say(std::string("POST / HTTP/1.1\r\nHost: localhost\r\n") + length);
    EXPECT_EQ(status_of(socket.rest(5s)), "413") << length;
  }
  {
    const Socket socket(server);
    socket.say("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
               std::string(2000, 'b'));
    EXPECT_EQ(status_of(socket.rest(5s)), "413");
  }
  expect_well(server);
}

TEST(HttpServerTest, WhoIsSlowIsNotWaitedFor) {
  const HttpServer server({.timeout = 300ms});
  const Socket silent(server);
  const Socket dribbling(server);
  const auto begin = Clock::now();
  bool open = dribbling.say("GET / HTTP/1.1\r\nX: ");
  while (open && Clock::now() - begin < 5s) {
    std::this_thread::sleep_for(20ms);
    open = dribbling.say("x");
  }
  EXPECT_FALSE(open) << "a byte now and then must not hold a connection";
  EXPECT_TRUE(silent.rest(5s));
  expect_well(server);
}

// A client that asks and does not read holds up itself alone.
TEST(HttpServerTest, WhoDoesNotReadIsNotWaitedFor) {
  HttpServer server({.timeout = 300ms});
  RunView view = sample_view();
  view.reason = std::string(32 << 20, 'r');  // more than sockets hold
  server.publish(std::make_shared<RunView>(view));
  const Socket deaf(server);
  deaf.say("GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect_well(server);
  std::this_thread::sleep_for(600ms);
  const auto answer = deaf.rest(5s);
  ASSERT_TRUE(answer) << "the connection is still open";
  EXPECT_LT(answer->size(), view.reason.size());
}

TEST(HttpServerTest, ManyConnections) {
  const HttpServer server({.most_connections = 8});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    EXPECT_EQ(clients.back()->ask(http::verb::get, "/healthz").result_int(), 200u);
  }
  const Socket one_more(server);
  EXPECT_EQ(status_of(one_more.rest(5s)), "503");
  for (const auto& client : clients) EXPECT_EQ(client->ask(http::verb::get, "/healthz").result_int(), 200u);
  clients.clear();
  const auto until = Clock::now() + 5s;
  unsigned status = 0;
  while (status != 200 && Clock::now() < until) {
    try {
      status = http_get(server.address(), "/healthz", "", 5s).status;
    } catch (const Error&) {  // turned away
      std::this_thread::sleep_for(10ms);
    }
  }
  EXPECT_EQ(status, 200u);
}

TEST(HttpServerTest, ClientsAndViewsAtOnce) {
  HttpServer server({});
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::int64_t last = 0;
      for (int round = 0; round < 50; ++round) {
        const std::int64_t step = view_of_json(http_get(server.address(), "/status.json", "", 5s).body).step;
        if (step < last) ++wrong;
        last = step;
      }
    });
  }
  RunView view = sample_view();
  for (view.step = 0; view.step < 2000; ++view.step) server.publish(std::make_shared<RunView>(view));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(HttpServerTest, EndsWithConnectionsOpen) {
  auto server = std::make_unique<HttpServer>(HttpOptions{});
  Client keeps(*server);
  keeps.ask(http::verb::get, "/");
  const Socket silent(*server);
  const auto begin = Clock::now();
  server.reset();
  EXPECT_LT(Clock::now() - begin, 5s);
  EXPECT_TRUE(silent.rest(5s));
}

// Pages wait with their question at the server, so that none misses how the run ended.
TEST(HttpServerTest, TheEndOfTheRunIsToldAtOnceToWhoWaits) {
  HttpServer server({});
  server.publish(std::make_shared<RunView>(sample_view()));
  const auto begin = Clock::now();
  EXPECT_EQ(http_get(server.address(), "/status.json?hold=300", "", 5s).status, 200u);
  EXPECT_GE(Clock::now() - begin, 300ms);
  HttpAnswer answer;
  std::thread waits([&] { answer = http_get(server.address(), "/status.json?hold=5000", "", 10s); });
  std::this_thread::sleep_for(200ms);
  RunView view = sample_view();
  view.state = RunState::kFinished;
  const auto end = Clock::now();
  server.publish_last(std::make_shared<RunView>(view));
  waits.join();
  EXPECT_LT(Clock::now() - end, 3s);
  EXPECT_EQ(view_of_json(answer.body).state, RunState::kFinished);
  EXPECT_EQ(http_get(server.address(), "/status.json?hold=5000", "", 3s).status, 200u)
      << "there is no more to wait for";
}

TEST(HttpServerTest, LastAnswersGoOutBeforeTheEnd) {
  auto server = std::make_unique<HttpServer>(HttpOptions{});
  const std::string address = server->address();
  std::atomic<unsigned> status{0};
  std::thread waits([&] { status = http_get(address, "/status.json?hold=5000", "", 10s).status; });
  std::this_thread::sleep_for(200ms);
  server->publish_last(std::make_shared<RunView>(sample_view()));
  server.reset();
  waits.join();
  EXPECT_EQ(status, 200u);
}

TEST(HttpClientTest, NobodyAnswers) {
  std::string address;
  {
    const HttpServer server({});
    address = server.address();
  }
  try {
    http_get(address, "/", "", 1s);
    ADD_FAILURE() << "somebody answers";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_EQ(error.what(), address + ": Connection refused");
  }
  for (const char* target : {"", "host", "host:", ":80", "host:port", "host:99999", "::1:80"}) {
    try {
      http_get(target, "/", "", 1s);
      ADD_FAILURE() << target;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage) << error.what();
    }
  }
}

// Something else has the port: one line says so, in time.
TEST(HttpClientTest, WhoAnswersIsNoHttpServer) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const std::string place = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  EXPECT_THROW(http_get(place, "/", "", 200ms), Error);  // never says anything
  std::thread liar([&] {
    for (int i = 0; i < 2; ++i) {  // the first is the one above
      const UniqueFd client(::accept(listener.get(), nullptr, nullptr));
      ::send(client.get(), "\xff\x00\x00nonsense\r\n\r\n", 15, MSG_NOSIGNAL);
    }
  });
  EXPECT_THROW(http_get(place, "/", "", 2s), Error);
  liar.join();
}

TEST(HttpServerTest, DamagedRequestsDoNoHarm) {
  const HttpServer server({.timeout = 200ms});
  testing_support::Mutations requests(
      {"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
       "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
       "HEAD /metrics?token=1 HTTP/1.0\r\nAuthorization: Bearer x\r\n\r\n"
       "GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"});
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(500); ++i) {
    const Socket socket(server);
    socket.say(requests.next());
    if (i % 16 == 0) socket.rest(50ms);
  }
  expect_well(server);
}

}  // namespace
}  // namespace convoy::scheduler
