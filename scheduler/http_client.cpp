#include "scheduler/http_client.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <exception>

#include "core/base/error.h"

namespace convoy::scheduler {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr std::size_t kMostAnswerBytes = 16 << 20;

tcp::resolver::results_type resolve(asio::io_context& io, const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  std::string host = address.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535 || (!bracketed && host.find(':') != std::string::npos))
    fail(ErrorCode::kUsage, "{}: expected HOST:PORT, as in 127.0.0.1:8080", address);
  boost::system::error_code error;
  auto found = tcp::resolver(io).resolve(host, port, tcp::resolver::numeric_service, error);
  if (error) fail(ErrorCode::kUnavailable, "{}: unknown host: {}", address, error.message());
  return found;
}

asio::awaitable<HttpAnswer> ask(beast::tcp_stream& stream, const tcp::resolver::results_type& endpoints,
                                const http::request<http::empty_body>& request) {
  co_await stream.async_connect(endpoints, asio::use_awaitable);
  co_await http::async_write(stream, request, asio::use_awaitable);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMostAnswerBytes);
  co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
  auto response = parser.release();
  co_return HttpAnswer{.status = response.result_int(), .body = std::move(response.body())};
}

}  // namespace

HttpAnswer http_get(const std::string& address, const std::string& target, const std::string& token,
                    std::chrono::milliseconds timeout) {
  asio::io_context io(1);
  const auto endpoints = resolve(io, address);
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, address);
  request.set(http::field::connection, "close");
  if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
  beast::tcp_stream stream(io);
  stream.expires_after(timeout);
  HttpAnswer answer;
  std::exception_ptr failure;
  asio::co_spawn(io, ask(stream, endpoints, request), [&](std::exception_ptr thrown, HttpAnswer got) {
    failure = std::move(thrown);
    answer = std::move(got);
  });
  io.run();
  try {
    if (failure) std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    if (error.code() == beast::error::timeout)
      fail(ErrorCode::kUnavailable, "{}: no answer within {:g} s", address,
           std::chrono::duration<double>(timeout).count());
    fail(ErrorCode::kUnavailable, "{}: {}", address, error.code().message());
  }
  return answer;
}

}  // namespace convoy::scheduler
