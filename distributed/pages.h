// The arena of an engine whose peers cannot map it: address space of this process alone, in huge pages where the system
// has them.
#pragma once

#include <cstddef>
#include <span>

namespace convoy::distributed {

class Pages {
 public:
  // Throws Error(kUnavailable) where there is not so much address space.
  explicit Pages(std::size_t bytes);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::span<std::byte> span() const { return {static_cast<std::byte*>(data_), bytes_}; }
  // Says whether this part may be used: throws Error(kUnavailable) where there is not so much memory. It is taken,
  // zeroed, as it is touched.
  void commit(std::size_t offset, std::size_t bytes) const;

 private:
  const std::size_t bytes_;
  void* data_ = nullptr;
};

// Gives the memory of the whole pages among these bytes, which nobody needs any more, back to the system: of an arena
// that peers map, too. Its address space stays, and reads as zeros; where it is to be used it is committed again.
// False, and everything stays as it is, where the system does not take it.
bool give_back(std::span<std::byte> bytes) noexcept;

}  // namespace convoy::distributed
