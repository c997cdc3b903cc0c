#include "distributed/refusal.h"

namespace convoy::distributed {

const char* refusal_text(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "none";
    case Refusal::kVersion:
      return "it speaks another version";
    case Refusal::kToken:
      return "its token is not this run's";
    case Refusal::kBallot:
      return "it is in another epoch";
    case Refusal::kRank:
      return "its rank or UUID is not in this epoch";
  }
  return "unknown";
}

std::vector<LostPeer> lost_by_refusal(const Uuid& peer, Refusal refusal) {
  if (refusal == Refusal::kBallot || refusal == Refusal::kRank) return {};
  return {{.uuid = peer, .how = LostPeer::How::kUnreachable}};
}

}  // namespace convoy::distributed
