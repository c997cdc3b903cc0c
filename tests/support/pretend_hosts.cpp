#include "tests/support/pretend_hosts.h"

#include <fmt/format.h>

#include <cstdlib>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy::testing_support {
namespace {

bool works(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

}  // namespace

std::string PretendHosts::obstacle() {
  if (!works("ip -V")) return "there is no program `ip` (iproute2)";
  const std::string probe = "cv" + random_hex(4);
  const bool permitted = works(fmt::format("ip netns add {}", probe));
  const bool bridges = permitted && works(fmt::format("ip -n {} link add br0 type bridge", probe));
  const bool enters = permitted && works(fmt::format("ip netns exec {} unshare --uts true", probe));
  if (permitted) works(fmt::format("ip netns del {}", probe));
  if (!permitted) return "network namespaces cannot be made here";
  return bridges && enters ? "" : "network namespaces can be made here, but not be used";
}

PretendHosts::PretendHosts(int count) : prefix_("cv" + random_hex(3)), count_(count) {
  run(fmt::format("ip netns add {0}sw && ip -n {0}sw link add br0 type bridge && ip -n {0}sw link set br0 up",
                  prefix_));
  for (int host = 0; host < count; ++host) {
    run(
        fmt::format("ip netns add {0} && ip -n {1}sw link add v{2} type veth peer name eth0 netns {0} && "
                    "ip -n {1}sw link set v{2} master br0 up && ip -n {0} addr add {3}/24 dev eth0 && "
                    "ip -n {0} link set eth0 up && ip -n {0} link set lo up",
                    name(host), prefix_, host, address(host)));
  }
}

PretendHosts::~PretendHosts() {
  for (int host = 0; host < count_; ++host) works("ip netns del " + name(host));
  works(fmt::format("ip netns del {}sw", prefix_));
}

std::string PretendHosts::on(int host, const std::string& command) const {
  return fmt::format("exec ip netns exec {0} unshare --uts sh -c 'hostname {0} && exec {1}'", name(host), command);
}

// To an address of the wire at which nobody is.
void PretendHosts::cut(int one, int other) {
  for (const auto& [from, to] : {std::pair(one, other), std::pair(other, one)})
    run(fmt::format("ip -n {} neigh replace {} lladdr 02:00:00:00:00:01 dev eth0 nud permanent", name(from),
                    address(to)));
}

void PretendHosts::heal(int one, int other) {
  for (const auto& [from, to] : {std::pair(one, other), std::pair(other, one)})
    run(fmt::format("ip -n {} neigh del {} dev eth0", name(from), address(to)));
}

void PretendHosts::unplug(int host) { run(fmt::format("ip -n {}sw link set v{} nomaster", prefix_, host)); }

std::string PretendHosts::name(int host) const { return fmt::format("{}h{}", prefix_, host); }
std::string PretendHosts::address(int host) { return fmt::format("10.77.0.{}", host + 1); }

void PretendHosts::run(const std::string& command) const {
  if (!works(command)) fail(ErrorCode::kUnavailable, "failed: {}", command);
}

}  // namespace convoy::testing_support
