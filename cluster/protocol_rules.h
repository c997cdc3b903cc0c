// The rules of the membership protocol that a search of its states leaves out, one after the other, to see that each is
// needed (tests/scheduler/epoch_search.h). Everything else holds all of them.
#pragma once

namespace convoy::cluster {

struct AllRules {
  // A seal aborts what is under way, so that nobody waits for a peer that is dead.
  static constexpr bool seal_aborts = true;
  // Who has sealed a ballot neither applies nor fetches under an older one.
  static constexpr bool seal_binds = true;
  // Who is excluded is dead before the epoch without it is announced.
  static constexpr bool kill_before_epoch = true;
  // An epoch has a member that holds the state from which it goes on.
  static constexpr bool epoch_needs_holder = true;
  // A scheduler that was started anew announces no epoch before it has sealed.
  static constexpr bool restart_seals = true;
};

}  // namespace convoy::cluster
