#include "core/ops/batch_norm.h"

#include <cmath>
#include <vector>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/batch_norm_kernels.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

// Rows have one floating dtype; inputs [1, vectors], which belong to the channels, that which it is computed with.
void check_rows(std::string_view op, std::span<const Spec> in, std::size_t vectors) {
  const DType rows = in[0].dtype;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const bool vector = i >= 1 && i <= vectors;
    if (!is_floating(rows) || in[i].dtype != (vector ? compute_dtype(rows) : rows))
      refuse(op, in, "f32 or f64, all the same, or bf16 rows with f32 vectors");
  }
}

bool is_vector_of(const Spec& spec, const Shape& x) { return spec.shape == Shape{x[-1]}; }

void visit_attributes(AttributeVisitor& visitor, const BatchNormAttributes& attributes) {
  visitor.visit("epsilon", attributes.epsilon);
  visitor.visit("relu", std::int64_t{attributes.relu});
}

// Rows of a tensor cut into chunks that its shape alone decides.
struct Rows {
  std::int64_t rows, width, chunks;

  explicit Rows(const Shape& x)
      : rows(rows_of(x)), width(x[-1]), chunks((rows + kBatchNormChunk - 1) / kBatchNormChunk) {}
  std::int64_t begin(std::int64_t chunk) const { return chunk * kBatchNormChunk; }
  std::int64_t count(std::int64_t chunk) const { return std::min(kBatchNormChunk, rows - begin(chunk)); }
};

// Two sums of every channel in fp64: body(chunk, first, second) adds a chunk's to its own, which are added in turn.
template <typename Body>
std::vector<double> sum_chunks(const Rows& rows, int threads, const Body& body) {
  const auto each = static_cast<std::size_t>(2 * rows.width);
  std::vector<double> partial(static_cast<std::size_t>(rows.chunks) * each);
  parallel_for(threads, rows.chunks, row_grain(rows.width * kBatchNormChunk),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t chunk = begin; chunk < end; ++chunk) {
                   double* const own = partial.data() + static_cast<std::size_t>(chunk) * each;
                   body(chunk, own, own + rows.width);
                 }
               });
  std::vector<double> total(each);
  for (std::size_t i = 0; i < partial.size(); ++i) total[i % each] += partial[i];
  return total;
}

// What a normalisation multiplies by and adds, channel by channel. Both passes form it from the same rounded numbers,
// so that the backward pass finds the sign that relu saw.
template <typename T>
struct Affine {
  std::vector<T> scale, offset;

  Affine(std::int64_t width, const T* weight, const T* bias, const T* mean, const T* rstd)
      : scale(static_cast<std::size_t>(width)), offset(static_cast<std::size_t>(width)) {
    for (std::size_t c = 0; c < scale.size(); ++c) {
      scale[c] = weight[c] * rstd[c];
      offset[c] = bias[c] - mean[c] * scale[c];
    }
  }
};

template <typename T>
void normalise(const KernelArgs& args, const Affine<Compute<T>>& affine, const Tensor* residual, bool relu) {
  const Rows rows(args.inputs[0].shape());
  const T* const x = args.inputs[0].data<T>();
  const T* const added = residual == nullptr ? nullptr : residual->data<T>();
  T* const y = args.outputs[0].data<T>();
  parallel_for(threads_of(args), rows.rows, row_grain(rows.width), [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t first = begin * rows.width;
    batch_norm_apply_kernel(BatchNormApply<T>{.rows = end - begin,
                                              .width = rows.width,
                                              .x = x + first,
                                              .scale = affine.scale.data(),
                                              .offset = affine.offset.data(),
                                              .residual = added == nullptr ? nullptr : added + first,
                                              .y = y + first,
                                              .relu = relu});
  });
}

// (x, weight, bias, mean, rstd, dy[, y]) → dx, dweight, dbias[, dresidual]: with y where relu was applied after a
// residual was added.
class BatchNormBackward final : public Op {
 public:
  explicit BatchNormBackward(bool relu) : relu_(relu) {}
  std::string_view name() const override { return "batch_norm_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("relu", std::int64_t{relu_}); }
  Specs infer(std::span<const Spec> in) const override {
    if (in.size() != 7) check_count(name(), in, 6);
    check_rows(name(), in, 4);
    const Shape& x = in[0].shape;
    bool sound = x.rank() >= 1 && x[-1] >= 1 && in[5].shape == x && (in.size() == 6 || in[6].shape == x);
    for (const Spec& vector : in.subspan(1, 4)) sound = sound && is_vector_of(vector, x);
    if (!sound) refuse(name(), in, "x [..., C], weight, bias, mean and rstd [C], dy and perhaps y like x");
    Specs result{in[0], in[1], in[2]};
    if (in.size() == 7) result.push_back(in[0]);
    return result;
  }
  void run_cpu(KernelArgs& args) const override {
    with_floating(args.outputs[0].dtype(), [&](auto zero) { run<decltype(zero)>(args); });
  }

 private:
  template <typename T>
  void run(const KernelArgs& args) const {
    using C = Compute<T>;
    const auto input = [&](std::size_t i) { return args.inputs[i].data<T>(); };
    const auto vector = [&](std::size_t i) { return args.inputs[i].data<C>(); };
    const Rows rows(args.inputs[0].shape());
    const bool added = args.inputs.size() == 7;
    const T* const y = added ? input(6) : nullptr;
    T* const g = added ? args.outputs[3].data<T>() : nullptr;
    const Affine<C> affine(rows.width, vector(1), vector(2), vector(3), vector(4));
    const std::vector<double> sums =
        sum_chunks(rows, threads_of(args), [&](std::int64_t chunk, double* first, double* second) {
          const std::int64_t at = rows.begin(chunk) * rows.width;
          batch_norm_sums_kernel(BatchNormSums<T>{.rows = rows.count(chunk),
                                                  .width = rows.width,
                                                  .x = input(0) + at,
                                                  .scale = affine.scale.data(),
                                                  .offset = affine.offset.data(),
                                                  .mean = vector(3),
                                                  .dy = input(5) + at,
                                                  .y = y == nullptr ? nullptr : y + at,
                                                  .relu = relu_,
                                                  .g = g == nullptr ? nullptr : g + at,
                                                  .sums = first,
                                                  .products = second});
        });
    std::vector<C> factor(affine.scale.size()), addend(affine.scale.size());
    const double count = static_cast<double>(std::max<std::int64_t>(rows.rows, 1));
    for (std::size_t c = 0; c < factor.size(); ++c) {
      const double sum = sums[c];
      const double product = sums[c + factor.size()];
      const auto scale = static_cast<double>(affine.scale[c]);
      const auto rstd = static_cast<double>(vector(4)[c]);
      args.outputs[1].data<C>()[c] = static_cast<C>(rstd * product);
      args.outputs[2].data<C>()[c] = static_cast<C>(sum);
      factor[c] = static_cast<C>(-scale * rstd * rstd * product / count);
      addend[c] = static_cast<C>(-scale * sum / count);
    }
    parallel_for(threads_of(args), rows.rows, row_grain(rows.width), [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t at = begin * rows.width;
      batch_norm_gradient_kernel(BatchNormGradient<T>{.rows = end - begin,
                                                      .width = rows.width,
                                                      .x = input(0) + at,
                                                      .scale = affine.scale.data(),
                                                      .offset = affine.offset.data(),
                                                      .mean = vector(3),
                                                      .dy = (added ? g : input(5)) + at,
                                                      .factor = factor.data(),
                                                      .addend = addend.data(),
                                                      .relu = relu_ && !added,
                                                      .dx = args.outputs[0].data<T>() + at});
    });
  }

  bool relu_;
};

// (x, weight, bias, shift[, residual]) → y, the mean and 1/deviation of each channel for the backward pass, and the
// sums relative to the shift.
class BatchNorm final : public Op {
 public:
  BatchNorm(const BatchNormAttributes& attributes, bool residual) : attributes_(attributes), residual_(residual) {}
  std::string_view name() const override { return "batch_norm"; }
  Traits traits() const override {
    return {.gradient_reads_inputs = 0b00111, .gradient_reads_outputs = reads_y() ? 0b00111U : 0b00110U};
  }
  void attributes(AttributeVisitor& visitor) const override {
    visit_attributes(visitor, attributes_);
    visitor.visit("residual", std::int64_t{residual_});
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, residual_ ? 5 : 4);
    check_rows(name(), in, 3);
    const Shape& x = in[0].shape;
    bool sound = x.rank() >= 1 && x[-1] >= 1 && (!residual_ || in[4].shape == x);
    for (const Spec& vector : in.subspan(1, 3)) sound = sound && is_vector_of(vector, x);
    if (!sound) refuse(name(), in, "x [..., C], weight, bias and shift [C], and a residual like x if any");
    return {in[0], in[1], in[1], in[1], in[1]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    const Tensor& dy = args.gradients[0];
    if (!dy.defined()) return Tensors(args.inputs.size());
    Tensors result = batch_norm_backward(args.inputs[0], args.inputs[1], args.inputs[2], args.outputs[1],
                                         args.outputs[2], dy, reads_y() ? args.outputs[0] : Tensor(), attributes_.relu);
    const Tensor residual = reads_y() ? result[3] : dy;
    result.resize(3);
    result.emplace_back();  // the shift moves nothing
    if (residual_) result.push_back(residual);
    return result;
  }
  void run_cpu(KernelArgs& args) const override {
    with_floating(args.outputs[0].dtype(), [&](auto zero) { run<decltype(zero)>(args); });
  }

 private:
  bool reads_y() const { return attributes_.relu && residual_; }

  template <typename T>
  void run(const KernelArgs& args) const {
    using C = Compute<T>;
    const auto vector = [&](std::size_t output) { return args.outputs[output].data<C>(); };
    const Rows rows(args.inputs[0].shape());
    const T* const x = args.inputs[0].data<T>();
    const std::vector<double> sums =
        sum_chunks(rows, threads_of(args), [&](std::int64_t chunk, double* first, double* second) {
          column_moments_kernel({rows.count(chunk), rows.width, first, second}, x + rows.begin(chunk) * rows.width);
        });
    const auto count = static_cast<double>(rows.rows);
    const C* const shifts = args.inputs[3].data<C>();
    for (std::int64_t c = 0; c < rows.width; ++c) {
      const double sum = sums[static_cast<std::size_t>(c)];
      const double squares = sums[static_cast<std::size_t>(c + rows.width)];
      const double mean = rows.rows == 0 ? 0.0 : sum / count;
      const double variance = rows.rows == 0 ? 0.0 : std::max(0.0, squares / count - mean * mean);
      const auto shift = static_cast<double>(shifts[c]);
      vector(1)[c] = static_cast<C>(mean);
      vector(2)[c] = static_cast<C>(1.0 / std::sqrt(variance + attributes_.epsilon));
      vector(3)[c] = static_cast<C>(sum - count * shift);
      vector(4)[c] = static_cast<C>(squares - shift * (2.0 * sum - count * shift));
    }
    const Affine<C> affine(rows.width, args.inputs[1].data<C>(), args.inputs[2].data<C>(), vector(1), vector(2));
    normalise<T>(args, affine, residual_ ? &args.inputs[4] : nullptr, attributes_.relu);
  }

  BatchNormAttributes attributes_;
  bool residual_;
};

// (x, weight, bias, mean, variance[, residual]) → y.
class BatchNormInference final : public Op {
 public:
  BatchNormInference(const BatchNormAttributes& attributes, bool residual)
      : attributes_(attributes), residual_(residual) {}
  std::string_view name() const override { return "batch_norm_inference"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    visit_attributes(visitor, attributes_);
    visitor.visit("residual", std::int64_t{residual_});
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, residual_ ? 6 : 5);
    check_rows(name(), in, 4);
    const Shape& x = in[0].shape;
    bool sound = x.rank() >= 1 && x[-1] >= 1 && (!residual_ || in[5].shape == x);
    for (const Spec& vector : in.subspan(1, 4)) sound = sound && is_vector_of(vector, x);
    if (!sound) refuse(name(), in, "x [..., C], weight, bias, mean and variance [C], and a residual like x if any");
    return {in[0]};
  }
  void run_cpu(KernelArgs& args) const override {
    with_floating(args.outputs[0].dtype(), [&](auto zero) {
      using T = decltype(zero);
      using C = Compute<T>;
      const std::int64_t width = args.inputs[0].shape()[-1];
      std::vector<C> rstd(static_cast<std::size_t>(width));
      for (std::int64_t c = 0; c < width; ++c) {
        const auto variance = static_cast<double>(args.inputs[4].template data<C>()[c]);
        rstd[static_cast<std::size_t>(c)] = static_cast<C>(1.0 / std::sqrt(variance + attributes_.epsilon));
      }
      const Affine<C> affine(width, args.inputs[1].template data<C>(), args.inputs[2].template data<C>(),
                             args.inputs[3].template data<C>(), rstd.data());
      normalise<T>(args, affine, residual_ ? &args.inputs[5] : nullptr, attributes_.relu);
    });
  }

 private:
  BatchNormAttributes attributes_;
  bool residual_;
};

// (mean, variance, updates, sum, squares, count, apply) → mean, variance, updates, in place.
class RunningStatistics final : public Op {
 public:
  explicit RunningStatistics(const RunningStatisticsAttributes& attributes) : attributes_(attributes) {}
  std::string_view name() const override { return "running_statistics"; }
  Traits traits() const override { return {.update = true, .differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("momentum", attributes_.momentum); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 7);
    check_wide(name(), in.first(6));
    bool sound = in[0].shape.rank() == 1 && in[2].shape == Shape{1} && in[5].shape == Shape{1} &&
                 in[6].dtype == DType::kF64 && in[6].shape == Shape{1};
    for (const std::size_t i : {1, 3, 4}) sound = sound && in[i].shape == in[0].shape;
    if (!sound) refuse(name(), in, "mean and variance [C], updates [1], sum and squares [C], count [1], apply f64 [1]");
    return {in[0], in[1], in[2]};
  }
  void run_cpu(KernelArgs& args) const override {
    if (args.inputs[6].data<double>()[0] == 0.0) return;
    with_wide(args.outputs[0].dtype(), [&](auto zero) { run<decltype(zero)>(args); });
  }

 private:
  template <typename T>
  void run(const KernelArgs& args) const {
    const auto count = static_cast<double>(args.inputs[5].data<T>()[0]);
    if (count < 1.0) return;
    T* const means = args.outputs[0].data<T>();
    T* const variances = args.outputs[1].data<T>();
    for (std::int64_t c = 0; c < args.outputs[0].elements(); ++c) {
      const double moved = static_cast<double>(args.inputs[3].data<T>()[c]) / count;
      const double spread = static_cast<double>(args.inputs[4].data<T>()[c]) / count - moved * moved;
      const double unbiased = std::max(0.0, spread) * count / std::max(1.0, count - 1.0);
      const auto before = static_cast<double>(variances[c]);
      means[c] = static_cast<T>(static_cast<double>(means[c]) + attributes_.momentum * moved);
      variances[c] = static_cast<T>(before + attributes_.momentum * (unbiased - before));
    }
    args.outputs[2].data<T>()[0] += T{1};
  }

  RunningStatisticsAttributes attributes_;
};

const RegisterOp kRegistered[] = {RegisterOp("batch_norm"), RegisterOp("batch_norm_backward"),
                                  RegisterOp("batch_norm_inference"), RegisterOp("running_statistics")};

Tensors with_optional(Tensors inputs, const Tensor& last) {
  if (last.defined()) inputs.push_back(last);
  return inputs;
}

}  // namespace

BatchNormResult batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& shift,
                           const Tensor& residual, const BatchNormAttributes& attributes) {
  const Tensors outputs = convoy::apply(std::make_shared<BatchNorm>(attributes, residual.defined()),
                                        with_optional({x, weight, bias, shift}, residual));
  return {.y = outputs[0], .sum = outputs[3], .squares = outputs[4]};
}

Tensors batch_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                            const Tensor& rstd, const Tensor& dy, const Tensor& y, bool relu) {
  return convoy::apply(std::make_shared<BatchNormBackward>(relu), with_optional({x, weight, bias, mean, rstd, dy}, y));
}

Tensor batch_norm_inference(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                            const Tensor& variance, const Tensor& residual, const BatchNormAttributes& attributes) {
  return apply_one(std::make_shared<BatchNormInference>(attributes, residual.defined()),
                   with_optional({x, weight, bias, mean, variance}, residual));
}

OpPtr running_statistics_op(const RunningStatisticsAttributes& attributes) {
  return std::make_shared<RunningStatistics>(attributes);
}

void update_running_statistics(const RunningStatisticsAttributes& attributes, const Tensor& mean,
                               const Tensor& variance, const Tensor& updates, const Tensor& sum, const Tensor& squares,
                               const Tensor& count, const Tensor& apply) {
  const Tensor inputs[] = {
      mean, variance, updates, contiguous(sum), contiguous(squares), contiguous(count), contiguous(apply)};
  apply_update(running_statistics_op(attributes), inputs, std::span(inputs).first(3));
}

}  // namespace convoy
