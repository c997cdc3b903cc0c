#include "worker/reduced_parts.h"

#include <span>

namespace convoy::worker {

Offer offer_of_reduced(const distributed::GradientReducer& reducer, std::int64_t step) {
  if (reducer.reduced_step() != step) return {};
  return {.kind = Offer::Kind::kHere,
          .parts = {std::as_bytes(reducer.reduced()), std::as_bytes(std::span(&reducer.reduced_sums(), 1)),
                    std::as_bytes(reducer.contributions())}};
}

Destination destination_of(const distributed::GradientReducer::Place& place) {
  return {std::as_writable_bytes(place.gradient), std::as_writable_bytes(place.sums),
          std::as_writable_bytes(place.contributions)};
}

}  // namespace convoy::worker
