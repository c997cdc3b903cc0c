// Hosts on one machine, each with a network of its own (network namespaces, joined by a bridge in another one), whose
// wires can be cut. No packet leaves the machine. Needs iproute2 and the right to make namespaces.
#pragma once

#include <string>
#include <vector>

namespace convoy::testing_support {

class PretendHosts {
 public:
  // Why there can be none here; empty: there can.
  static std::string obstacle();

  // Hosts 0 to count - 1. Throws Error(kUnavailable).
  explicit PretendHosts(int count);
  // Their wires, and the namespaces; whoever still runs there keeps its own.
  ~PretendHosts();
  PretendHosts(const PretendHosts&) = delete;
  PretendHosts& operator=(const PretendHosts&) = delete;

  // What a shell has to be given to run `command` on a host, under a host name of its own; its pid is the shell's
  // child's.
  std::string on(int host, const std::string& command) const;

  // Nothing gets through between the two, and nothing says so.
  void cut(int one, int other);
  void heal(int one, int other);
  // Nothing gets through between this one and the others.
  void unplug(int host);

 private:
  std::string name(int host) const;
  static std::string address(int host);
  void run(const std::string& command) const;

  const std::string prefix_;
  const int count_;
};

}  // namespace convoy::testing_support
