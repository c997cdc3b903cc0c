#include "scheduler/epochs.h"

#include <type_traits>

#include "scheduler/epochs_rules.h"

namespace convoy::scheduler {

EpochPast past_of(std::span<const JournalRecord> records) {
  EpochPast past;
  for (const JournalRecord& record : records) {
    std::visit(
        [&](const auto& value) {
          using Kind = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Kind, EpochRecord>) {
            EpochPlan plan{.ballot = value.ballot,
                           .members = {},
                           .resume_step = value.epoch.resume_step,
                           .donors = value.epoch.donors,
                           .chain = value.epoch.chain,
                           .previous_chain = value.epoch.previous_chain};
            for (const cluster::Member& member : value.epoch.members) plan.members.push_back(member.uuid);
            past.epoch = std::move(plan);
            past.quarantined.clear();  // they were dead before it was announced
          } else if constexpr (std::is_same_v<Kind, CheckpointRecord>) {
            past.checkpoint_step = std::max(past.checkpoint_step, value.step);
          } else if constexpr (std::is_same_v<Kind, QuarantineRecord>) {
            past.quarantined.push_back(value.worker);
          }
        },
        record);
  }
  return past;
}

template class BasicEpochs<cluster::AllRules>;

}  // namespace convoy::scheduler
