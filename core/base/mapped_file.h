// A file's bytes, mapped read-only: pages come in when they are touched and are shared by all processes of a machine.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace convoy {

// Movable, unmapped when it goes. The file must not shrink meanwhile: touching what is gone is a bus error.
class MappedFile {
 public:
  // Throws Error(`on_failure`) that names the file and what the system said.
  MappedFile(const std::string& path, ErrorCode on_failure);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::string_view bytes() const { return {data_, size_}; }
  // Lets go of the pages that lie within, of a file that is read through once; touched again, they come in again.
  void forget(std::string_view part) const noexcept;

 private:
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace convoy
