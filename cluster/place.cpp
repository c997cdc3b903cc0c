#include "cluster/place.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "core/base/error.h"

namespace convoy::cluster {

namespace {

// The variable's value, which must be there because `because` is.
std::string required(const Environment& environment, const char* name, const std::string& because) {
  auto value = environment(name);
  if (!value) fail(ErrorCode::kUsage, "{} is set but {} is not: `convoy launch` sets both", because, name);
  return *value;
}

std::int32_t required_number(const Environment& environment, const char* name, const std::string& because) {
  const std::string text = required(environment, name, because);
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail(ErrorCode::kUsage, "{}='{}' is not a whole number", name, text);
  }
  return number;
}

void check_rank(const char* rank_name, std::int32_t rank, const char* world_name, std::int32_t world) {
  if (world < 1) fail(ErrorCode::kUsage, "{}={} must be at least 1", world_name, world);
  if (rank < 0 || rank >= world) {
    fail(ErrorCode::kUsage, "{}={} must be at least 0 and below {}={}", rank_name, rank, world_name, world);
  }
}

Credentials scheduler_credentials(const Environment& environment, const std::string& because) {
  Credentials credentials{.address = required(environment, kSchedulerVariable, because),
                          .public_key = required(environment, kSchedulerKeyVariable, because),
                          .token = required(environment, kTokenVariable, because)};
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

// A detector answers for one launcher: nothing when its variables are absent, an Error when they make no sense.
using Detector = std::optional<Place> (*)(const Environment&);

std::optional<Place> from_convoy_launch(const Environment& environment) {
  std::string present;
  for (const char* name : {kRankVariable, kWorldVariable, kLocalRankVariable, kLocalWorldVariable, kSchedulerVariable,
                           kSchedulerKeyVariable, kTokenVariable}) {
    if (present.empty() && environment(name)) present = name;
  }
  if (present.empty()) return std::nullopt;

  Place place;
  place.rank = required_number(environment, kRankVariable, present);
  place.world = required_number(environment, kWorldVariable, present);
  place.local_rank = required_number(environment, kLocalRankVariable, present);
  place.local_world = required_number(environment, kLocalWorldVariable, present);
  check_rank(kRankVariable, place.rank, kWorldVariable, place.world);
  check_rank(kLocalRankVariable, place.local_rank, kLocalWorldVariable, place.local_world);
  if (place.local_world > place.world) {
    fail(ErrorCode::kUsage, "{}={} must not be above {}={}", kLocalWorldVariable, place.local_world, kWorldVariable,
         place.world);
  }
  place.scheduler = scheduler_credentials(environment, present);
  place.detected_by = "convoy launch";
  return place;
}

std::optional<Place> alone(const Environment&) {
  Place place;
  place.detected_by = "alone";
  return place;
}

// The first that answers wins.
constexpr Detector kDetectors[] = {from_convoy_launch, alone};

}  // namespace

Place find_place(const Environment& environment) {
  for (const Detector detect : kDetectors) {
    if (auto place = detect(environment)) return *place;
  }
  fail(ErrorCode::kInternal, "no way to find this process's place in a run");
}

}  // namespace convoy::cluster
