#include "worker/participant.h"

#include "worker/participant_rules.h"

namespace convoy::worker {

template class BasicParticipant<cluster::AllRules>;

}  // namespace convoy::worker
