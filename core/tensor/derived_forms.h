// What kernels derived from a state's elements and use until the state is written again: a weight cast and put into
// the order that a matrix product reads. Belongs to the storage, so that it is freed with it.
//
// Only from the thread that runs the device's kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

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

  // Where one is kept.
  class Form {
   public:
    Form(const Key& key, Device& device, std::size_t bytes) : key_(key), memory_(device, bytes) {}

   private:
    friend class DerivedForms;
    Key key_;
    Storage memory_;
    std::uint64_t version_ = 0;  // of the state that it was made from; 0: of none
  };

  explicit DerivedForms(Device& device) : device_(device) {}

  // Stays for as long as the storage lives: found, or put there empty, `bytes` long.
  Form& form(const Key& key, std::size_t bytes);

  // The form's memory. make(memory) fills it where it is new or the storage was written since.
  template <typename Make>
  const void* get(Form& form, const Make& make) {
    if (form.version_ != version_) {
      make(form.memory_.data());
      form.version_ = version_;
      ++made_;
    }
    return form.memory_.data();
  }

  // From here on tensors of the storage show no forms (Tensor::derived_forms): for state that nobody reads twice
  // between two writes. Kernels then make theirs in memory that they share with others.
  void keep_none() { keeps_ = false; }
  bool keeps() const { return keeps_; }

  void written() { ++version_; }
  // Of the forms whose memory nobody has touched yet: that they will take.
  std::size_t unmade_bytes() const {
    std::size_t bytes = 0;
    for (const Form& form : forms_) bytes += form.version_ == 0 ? form.memory_.bytes() : 0;
    return bytes;
  }
  // How often a form was made.
  std::uint64_t made() const { return made_; }

 private:
  Device& device_;
  bool keeps_ = true;
  std::uint64_t version_ = 1;
  std::uint64_t made_ = 0;
  std::deque<Form> forms_;  // which do not move
};

}  // namespace convoy
