// What must be equal on every worker for their bits to be equal: named values, compared before the first step.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace convoy {

class Fingerprint {
 public:
  void add(std::string name, std::string value) { entries_.emplace_back(std::move(name), std::move(value)); }
  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

  // One line that names the first difference ("cpu model: 'A' here, 'B' there"), or nothing when equal.
  std::optional<std::string> difference(const Fingerprint& other) const;

  bool operator==(const Fingerprint&) const = default;

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

}  // namespace convoy
