// What kernels derived from a state's elements and use until the state is written again: a weight cast and put into
// the order that a matrix product reads. Belongs to the storage, so that it is freed with it.
//
// Only from the thread that runs the device's kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/tensor/tensor.h"

namespace convoy {

class DerivedForms {
 public:
  // Which elements, as a matrix, in which form. `format` names the kernel's own: a literal.
  struct Key {
    std::int64_t offset = 0, rows = 0, columns = 0, row_stride = 0, column_stride = 0;
    std::string_view format;
    bool operator==(const Key&) const = default;
  };

  explicit DerivedForms(Device& device) : device_(device) {}

  // The form's memory, `bytes` long. make(memory) fills it where it is new or the storage was written since.
  template <typename Make>
  const void* get(const Key& key, std::size_t bytes, const Make& make) {
    Form& form = find(key, bytes);
    if (form.version != version_) {
      make(form.memory->data());
      form.version = version_;
      ++made_;
    }
    return form.memory->data();
  }

  void written() { ++version_; }
  // How often a form was made.
  std::uint64_t made() const { return made_; }

 private:
  struct Form {
    Key key;
    std::unique_ptr<Storage> memory;
    std::uint64_t version = 0;  // of the state that it was made from; 0: of none
  };
  Form& find(const Key& key, std::size_t bytes);

  Device& device_;
  std::uint64_t version_ = 1;
  std::uint64_t made_ = 0;
  std::vector<Form> forms_;
};

}  // namespace convoy
