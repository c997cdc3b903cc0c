#include "tests/core/ops/op_table.h"

namespace convoy {

std::vector<OpRow> all_rows() {
  std::vector<OpRow> rows;
  for (const auto family :
       {elementwise_rows, view_rows, reduce_rows, norm_rows, softmax_rows, index_rows, random_rows, update_rows,
        matmul_rows, attention_rows, conv_rows, batch_norm_rows, pool_rows, llama_rows, arrange_rows}) {
    for (OpRow& row : family()) rows.push_back(std::move(row));
  }
  return rows;
}

Tensor copy_of(const Tensor& x) {
  const Tensor copy = Tensor::empty(x.spec());
  copy_elements(x, copy);
  return copy;
}

}  // namespace convoy
