#include "core/tensor/derived_forms.h"

namespace convoy {

DerivedForms::Form& DerivedForms::form(const Key& key, std::size_t bytes) {
  for (Form& form : forms_) {
    if (form.key_ == key) return form;
  }
  return forms_.emplace_back(key, device_, bytes);
}

}  // namespace convoy
