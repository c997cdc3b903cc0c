#include "core/tensor/element_copy.h"

#include <cstring>

#include "core/base/error.h"

namespace convoy {

ElementCopy::ElementCopy(const Tensor& from, const Tensor& to)
    : device_(&to.device()), word_(size_of(to.dtype())), bytes_(to.spec().bytes()) {
  if (from.dtype() != to.dtype() || from.shape() != to.shape())
    fail(ErrorCode::kInvalidArgument, "cannot copy {} into {}", from.spec().to_string(), to.spec().to_string());
  if (bytes_ == 0) return;
  from_ = from.raw();
  to_ = to.raw();
  const Shape &shape = to.shape(), &a = from.layout().strides, &b = to.layout().strides;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 1) continue;
    if (shape_.rank() > 0 && from_strides_[-1] == a[i] * shape[i] && to_strides_[-1] == b[i] * shape[i]) {
      shape_[-1] *= shape[i];
      from_strides_[-1] = a[i];
      to_strides_[-1] = b[i];
      continue;
    }
    shape_.append(shape[i]);
    from_strides_.append(a[i]);
    to_strides_.append(b[i]);
  }
  if (shape_.rank() > 0) return;
  shape_ = {1};
  from_strides_ = to_strides_ = {1};
}

void ElementCopy::run() const {
  if (bytes_ == 0) return;
  if (shape_.rank() == 1 && from_strides_[0] == 1 && to_strides_[0] == 1) {
    device_->copy(to_, from_, bytes_);
  } else if (word_ == 2) {
    copy_words<std::uint16_t>();
  } else if (word_ == 4) {
    copy_words<std::uint32_t>();
  } else {
    copy_words<std::uint64_t>();
  }
}

// Row by row of the innermost dimension.
template <typename Word>
void ElementCopy::copy_words() const {
  const auto* in = static_cast<const Word*>(from_);
  auto* out = static_cast<Word*>(to_);
  const std::int64_t run = shape_[-1], in_step = from_strides_[-1], out_step = to_strides_[-1];
  Shape index = shape_;
  for (int i = 0; i < index.rank(); ++i) index[i] = 0;
  while (true) {
    if (in_step == 1 && out_step == 1) {
      std::memcpy(out, in, static_cast<std::size_t>(run) * sizeof(Word));
    } else {
      for (std::int64_t i = 0; i < run; ++i) out[i * out_step] = in[i * in_step];
    }
    int i = shape_.rank() - 2;
    for (; i >= 0; --i) {
      in += from_strides_[i];
      out += to_strides_[i];
      if (++index[i] < shape_[i]) break;
      in -= from_strides_[i] * shape_[i];
      out -= to_strides_[i] * shape_[i];
      index[i] = 0;
    }
    if (i < 0) return;
  }
}

void copy_elements(const Tensor& from, const Tensor& to) {
  ElementCopy(from, to).run();
  to.written();
}

}  // namespace convoy
