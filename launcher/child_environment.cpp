#include "launcher/child_environment.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "cluster/place.h"
#include "launcher/preparation.h"

namespace convoy::launcher {
namespace {

constexpr std::array kOwnVariables = {
    cluster::kRankVariable,           cluster::kWorldVariable,     cluster::kLocalRankVariable,
    cluster::kLocalWorldVariable,     cluster::kSchedulerVariable, cluster::kSchedulerKeyVariable,
    cluster::kTokenVariable,          cluster::kLifelineVariable,  cluster::kAddressDescriptorVariable,
    cluster::kSchedulerWordsVariable, cluster::kRunVariable,       cluster::kReplacesVariable,
    cluster::kOpenVariable,           kPrepareDescriptorVariable,  kPrepareWorkersVariable};

}  // namespace

std::vector<std::string> child_environment(const std::vector<std::string>& environment) {
  std::vector<std::string> result;
  std::copy_if(environment.begin(), environment.end(), std::back_inserter(result), [](const std::string& entry) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    return std::find(kOwnVariables.begin(), kOwnVariables.end(), name) == kOwnVariables.end();
  });
  return result;
}

}  // namespace convoy::launcher
