#include "launcher/output.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "launcher/pipe.h"

namespace convoy::launcher {
namespace {

std::string read_available(int fd) {
  set_nonblocking(fd);
  std::string text;
  char buffer[65536];
  ssize_t got = 0;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(got));
  return text;
}

struct Terminal {
  explicit Terminal(unsigned short columns) {
    int controller_fd = -1;
    int terminal_fd = -1;
    winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    termios settings{};
    cfmakeraw(&settings);
    EXPECT_EQ(openpty(&controller_fd, &terminal_fd, nullptr, &settings, &size), 0);
    controller = UniqueFd(controller_fd);
    terminal = UniqueFd(terminal_fd);
  }
  UniqueFd controller;
  UniqueFd terminal;
};

std::vector<std::string> split(const std::vector<std::string>& pieces) {
  std::vector<std::string> lines;
  LineSplitter splitter([&](std::string_view line) { lines.emplace_back(line); });
  for (const std::string& piece : pieces) splitter.feed(piece);
  splitter.finish();
  return lines;
}

TEST(LineSplitterTest, LinesAreWholeHoweverTheirBytesArrive) {
  EXPECT_EQ(split({"on", "e\ntw", "o\n\nthr", "ee\n"}), (std::vector<std::string>{"one", "two", "", "three"}));
}

TEST(LineSplitterTest, LastLineNeedsNoEnd) { EXPECT_EQ(split({"a\nb"}), (std::vector<std::string>{"a", "b"})); }

TEST(LineSplitterTest, CarriageReturnBeforeTheEndIsDropped) {
  EXPECT_EQ(split({"a\r\n"}), (std::vector<std::string>{"a"}));
}

TEST(LineSplitterTest, EndlessLineIsHandedOutInPieces) {
  const std::string longest(LineSplitter::kLongest, 'x');
  EXPECT_EQ(split({longest + longest + "y\n"}), (std::vector<std::string>{longest, longest, "y"}));
  EXPECT_EQ(split({longest + "\nz\n"}), (std::vector<std::string>{longest, "z"}));
}

TEST(OutputTest, LinesGoToTheStreamTheyNameAndProgressOnlyToATerminal) {
  const Pipe out = make_pipe();
  const Pipe err = make_pipe();
  Output output(out.write_end.get(), err.write_end.get());
  EXPECT_FALSE(output.draws_progress());
  output.set_progress("step 1/2");
  output.line(Stream::kOutput, "[0] hello");
  output.line(Stream::kErrors, "convoy: no");
  EXPECT_EQ(read_available(out.read_end.get()), "[0] hello\n");
  EXPECT_EQ(read_available(err.read_end.get()), "convoy: no\n");
}

TEST(OutputTest, ProgressLineIsErasedAndRedrawnAroundLines) {
  const Terminal terminal(100);
  Output output(terminal.terminal.get(), terminal.terminal.get());
  ASSERT_TRUE(output.draws_progress());
  output.set_progress("step 1/2");
  output.line(Stream::kErrors, "[0] hello");
  output.set_progress("");
  output.line(Stream::kOutput, "done");
  EXPECT_EQ(read_available(terminal.controller.get()), "\r\x1b[Kstep 1/2\r\x1b[K[0] hello\nstep 1/2\r\x1b[Kdone\n");
  EXPECT_EQ(output.width(), 100);
}

TEST(OutputTest, ReaderThatStandsStillBlocksNobodyAndLosesNothing) {
  const Pipe out = make_pipe();
  Output output(out.write_end.get(), STDERR_FILENO);
  const std::string text(1000, 'x');
  int lines = 0;
  while (!output.backed_up()) {
    output.line(Stream::kOutput, text);
    ASSERT_LT(++lines, 10000);
  }
  ASSERT_TRUE(output.waiting_for().has_value());
  EXPECT_EQ(output.waiting_for()->fd, out.write_end.get());
  std::size_t seen = 0;
  while (output.waiting_for()) {
    seen += read_available(out.read_end.get()).size();
    output.flush();
  }
  seen += read_available(out.read_end.get()).size();
  EXPECT_EQ(seen, static_cast<std::size_t>(lines) * (text.size() + 1));
  EXPECT_FALSE(output.backed_up());
}

TEST(OutputTest, DrainGivesUpInTime) {
  const Pipe out = make_pipe();
  Output output(out.write_end.get(), STDERR_FILENO);
  while (!output.backed_up()) output.line(Stream::kOutput, std::string(1000, 'x'));
  const auto before = std::chrono::steady_clock::now();
  output.drain(std::chrono::milliseconds(50));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  EXPECT_TRUE(output.waiting_for().has_value());
}

}  // namespace
}  // namespace convoy::launcher
