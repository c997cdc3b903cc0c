// Memory to serve and donors that serve it, for tests of donors and of those who pull from them.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "worker/donor.h"
#include "worker/donor_channel.h"

namespace convoy::worker {

inline constexpr Ballot kServedBallot{.term = 1, .attempt = 3};
inline constexpr std::int64_t kServedStep = 17;

// Memory in several places, of awkward sizes; 9 MB.
struct Memory {
  explicit Memory(const std::vector<std::size_t>& sizes) {
    for (const std::size_t size : sizes) blocks.emplace_back(size);
  }
  static Memory filled() {
    Memory memory({0, 1, 3, 5 << 20, 64, 3'000'001, 7, 1 << 20});
    memory.blocks.insert(memory.blocks.begin() + 3, 200, std::vector<std::byte>(257));  // more than a call can name
    std::mt19937 random(7);
    for (auto& block : memory.blocks)
      for (std::byte& byte : block) byte = static_cast<std::byte>(random());
    return memory;
  }
  // As much in other places, and empty.
  Memory elsewhere() const {
    const auto total = static_cast<std::size_t>(total_bytes(parts()));
    return Memory({6 << 20, 1, 100, total - (6 << 20) - 101, 0});
  }

  Parts parts() const { return {blocks.begin(), blocks.end()}; }
  Destination destination() { return {blocks.begin(), blocks.end()}; }
  std::vector<std::byte> joined() const {
    std::vector<std::byte> all;
    for (const auto& block : blocks) all.insert(all.end(), block.begin(), block.end());
    return all;
  }

  std::vector<std::vector<std::byte>> blocks;
};

// The state after kServedStep, to members of kServedBallot.
inline Find find_in(const Memory& memory) {
  return [&memory](const Ballot& ballot, const Pull& pull) {
    if (ballot != kServedBallot || pull.what != Pull::What::kState || pull.step != kServedStep) return Offer{};
    return Offer{.kind = Offer::Kind::kHere, .parts = memory.parts()};
  };
}

inline Offer nothing(const Ballot&, const Pull&) { return {}; }

inline std::unique_ptr<Donor> make_donor(const Uuid& self, const std::string& token, Find find) {
  DonorOptions options;
  options.token = token;
  options.self = self;
  options.find = std::move(find);
  return std::make_unique<Donor>(std::move(options));
}

// A donor in a process of its own, which does what it will to itself.
class ChildDonor {
 public:
  ChildDonor(const std::string& token, const Find& find) {
    source.uuid = Uuid::random();
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const auto donor = make_donor(source.uuid, token, find);
      const std::string text = donor->service().address + "\n";
      if (write(pipe_ends[1], text.data(), text.size()) < 0) _exit(1);
      for (;;) pause();
    }
    close(pipe_ends[1]);
    for (char letter = 0; read(pipe_ends[0], &letter, 1) == 1 && letter != '\n';) source.service.address += letter;
    close(pipe_ends[0]);
  }
  ~ChildDonor() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  ChildDonor(const ChildDonor&) = delete;
  ChildDonor& operator=(const ChildDonor&) = delete;

  Source source;

 private:
  pid_t pid_;
};

}  // namespace convoy::worker
