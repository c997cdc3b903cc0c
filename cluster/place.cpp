#include "cluster/place.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "cluster/place_detectors.h"
#include "core/base/error.h"

namespace convoy::cluster {

std::string_view launcher_name(Launcher launcher) {
  switch (launcher) {
    case Launcher::kConvoy:
      return "convoy launch";
    case Launcher::kOpenMpi:
      return "Open MPI";
    case Launcher::kPmi:
      return "PMI";
    case Launcher::kSlurm:
      return "Slurm";
    case Launcher::kNone:
      break;
  }
  return "alone";
}

std::string required(const Environment& environment, const std::string& name, const std::string& because,
                     Launcher launcher) {
  auto value = environment(name);
  if (!value) {
    if (launcher == Launcher::kConvoy)
      fail(ErrorCode::kUsage, "{} is set but {} is not: `convoy launch` sets both", because, name);
    fail(ErrorCode::kUsage, "{} is set but {} is not: {} sets both (--place alone ignores them)", because, name,
         launcher_name(launcher));
  }
  return *value;
}

std::int32_t number_of(const std::string& name, const std::string& text) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail(ErrorCode::kUsage, "{}='{}' is not a whole number", name, text);
  }
  return number;
}

std::int32_t required_number(const Environment& environment, const std::string& name, const std::string& because,
                             Launcher launcher) {
  return number_of(name, required(environment, name, because, launcher));
}

void check_rank(const NamedRank& named) {
  if (named.world < 1) fail(ErrorCode::kUsage, "{}={} must be at least 1", named.world_name, named.world);
  if (named.rank < 0 || named.rank >= named.world) {
    fail(ErrorCode::kUsage, "{}={} must be at least 0 and below {}={}", named.rank_name, named.rank, named.world_name,
         named.world);
  }
}

void check_local_world(const char* local_name, const char* world_name, const Place& place) {
  if (place.local_world > place.world) {
    fail(ErrorCode::kUsage, "{}={} must not be above {}={}", local_name, place.local_world, world_name, place.world);
  }
}

std::string evidence(Launcher launcher, const char* rank_name, const char* world_name, const Place& place) {
  return fmt::format("{}: {}={}, {}={}", launcher_name(launcher), rank_name, place.rank, world_name, place.world);
}

namespace {

Credentials scheduler_credentials(const Environment& environment, const std::string& because) {
  const auto value = [&](const char* name) { return required(environment, name, because, Launcher::kConvoy); };
  Credentials credentials{
      .address = value(kSchedulerVariable), .public_key = value(kSchedulerKeyVariable), .token = value(kTokenVariable)};
  if (!credentials.address.starts_with("tcp://")) {
    fail(ErrorCode::kUsage, "{}='{}' must be an address like tcp://10.0.0.1:4321", kSchedulerVariable,
         credentials.address);
  }
  if (credentials.public_key.size() != 40) {
    fail(ErrorCode::kUsage, "{} must have 40 characters, has {}", kSchedulerKeyVariable, credentials.public_key.size());
  }
  const bool hex = std::all_of(credentials.token.begin(), credentials.token.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
  if (credentials.token.size() != 64 || !hex) {  // its value is secret
    fail(ErrorCode::kUsage, "{} must be 64 hex digits", kTokenVariable);
  }
  return credentials;
}

std::optional<Place> from_convoy_launch(const Environment& environment) {
  std::string present;
  for (const char* name : {kRankVariable, kWorldVariable, kLocalRankVariable, kLocalWorldVariable, kSchedulerVariable,
                           kSchedulerKeyVariable, kTokenVariable}) {
    if (present.empty() && environment(name)) present = name;
  }
  if (present.empty()) return std::nullopt;

  Place place;
  place.launcher = Launcher::kConvoy;
  const auto number = [&](const char* name) { return required_number(environment, name, present, place.launcher); };
  place.rank = number(kRankVariable);
  place.world = number(kWorldVariable);
  place.local_rank = number(kLocalRankVariable);
  place.local_world = number(kLocalWorldVariable);
  if (place.rank != Place::kJoins) check_rank({kRankVariable, place.rank, kWorldVariable, place.world});
  check_rank({kLocalRankVariable, place.local_rank, kLocalWorldVariable, place.local_world});
  check_local_world(kLocalWorldVariable, kWorldVariable, place);
  place.scheduler = scheduler_credentials(environment, present);
  place.open = environment(kOpenVariable).has_value();
  place.detected_by = evidence(place.launcher, kRankVariable, kWorldVariable, place);
  return place;
}

std::optional<Place> alone(const Environment&) {
  Place place;
  place.detected_by = "alone: no launcher's variables";
  return place;
}

using Detector = std::optional<Place> (*)(const Environment&);
struct NamedDetector {
  std::string_view choice;  // of --place
  Detector detect;
};
// The first that answers wins.
constexpr NamedDetector kDetectors[] = {{"", from_convoy_launch},
                                        {"openmpi", place_from_open_mpi},
                                        {"pmi", place_from_pmi},
                                        {"slurm", place_from_slurm},
                                        {"alone", alone}};

}  // namespace

Place find_place(const Environment& environment, std::string_view choice) {
  if (std::ranges::find(kPlaceChoices, choice) == std::end(kPlaceChoices))
    fail(ErrorCode::kUsage, "--place {}: expected one of {}", choice, fmt::join(kPlaceChoices, ", "));
  for (const NamedDetector& detector : kDetectors) {
    if (choice != "auto" && !detector.choice.empty() && detector.choice != choice) continue;
    auto place = detector.detect(environment);
    if (!place) continue;
    if (choice == "alone" && place->launcher == Launcher::kNone) place->detected_by = "alone: --place alone";
    return *place;
  }
  fail(ErrorCode::kUsage, "--place {}: none of the variables that it would set is there", choice);
}

}  // namespace convoy::cluster
