#include "core/ops/batch_norm.h"

#include <algorithm>
#include <cmath>

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

// Two sums of every channel in fp64.
class ChunkSums {
 public:
  ChunkSums(Scratch& scratch, const Rows& rows, int threads)
      : rows_(rows),
        threads_(threads),
        partial_(scratch.take<double>(rows.chunks * 2 * rows.width)),
        total_(scratch.take<double>(2 * rows.width)) {}

  // body(chunk, first, second) adds a chunk's to its own, which are added in turn: [2, width].
  template <typename Body>
  const double* sum(const Body& body) const {
    const std::int64_t each = 2 * rows_.width;
    parallel_for(threads_, rows_.chunks, row_grain(rows_.width * kBatchNormChunk),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t chunk = begin; chunk < end; ++chunk) {
                     double* const own = partial_ + chunk * each;
                     std::fill_n(own, each, 0.0);
                     body(chunk, own, own + rows_.width);
                   }
                 });
    std::fill_n(total_, each, 0.0);
    for (std::int64_t i = 0; i < rows_.chunks * each; ++i) total_[i % each] += partial_[i];
    return total_;
  }

 private:
  Rows rows_;
  int threads_;
  double *partial_, *total_;
};

// What a normalisation multiplies by and adds, channel by channel. Both passes form it from the same rounded numbers,
// so that the backward pass finds the sign that relu saw.
template <typename T>
struct Affine {
  std::int64_t width;
  T *scale, *offset;

  Affine(Scratch& scratch, std::int64_t channels)
      : width(channels), scale(scratch.take<T>(channels)), offset(scratch.take<T>(channels)) {}

  void form(const T* weight, const T* bias, const T* mean, const T* rstd) const {
    for (std::int64_t c = 0; c < width; ++c) {
      scale[c] = weight[c] * rstd[c];
      offset[c] = bias[c] - mean[c] * scale[c];
    }
  }
};

// y = x·scale + offset, plus the residual if there is one, then relu if asked for.
template <typename T>
class Normalise {
 public:
  Normalise(const PrepareArgs& args, const Affine<Compute<T>>& affine, const Tensor* residual, bool relu)
      : threads_(threads_of(args)),
        whole_{.rows = rows_of(args.inputs[0].shape()),
               .width = affine.width,
               .x = args.inputs[0].data<T>(),
               .scale = affine.scale,
               .offset = affine.offset,
               .residual = residual == nullptr ? nullptr : residual->data<T>(),
               .y = args.outputs[0].data<T>(),
               .relu = relu} {}

  void run() const {
    parallel_for(threads_, whole_.rows, row_grain(whole_.width), [&](std::int64_t begin, std::int64_t end) {
      BatchNormApply<T> part = whole_;
      part.rows = end - begin;
      part.x += begin * whole_.width;
      if (part.residual != nullptr) part.residual += begin * whole_.width;
      part.y += begin * whole_.width;
      batch_norm_apply_kernel(part);
    });
  }

 private:
  int threads_;
  BatchNormApply<T> whole_;
};

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
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(),
                         [&]<typename T>(T) { return prepared([call = Call<T>(args, relu_)] { call.run(); }); });
  }

 private:
  template <typename T>
  class Call {
   public:
    using C = Compute<T>;
    Call(const PrepareArgs& args, bool relu)
        : rows_(args.inputs[0].shape()),
          threads_(threads_of(args)),
          added_(args.inputs.size() == 7),
          relu_(relu),
          sums_(args.scratch, rows_, threads_),
          affine_(args.scratch, rows_.width),
          factor_(args.scratch.take<C>(rows_.width)),
          addend_(args.scratch.take<C>(rows_.width)),
          x_(args.inputs[0].data<T>()),
          dy_(args.inputs[5].data<T>()),
          y_(added_ ? args.inputs[6].data<T>() : nullptr),
          weight_(args.inputs[1].data<C>()),
          bias_(args.inputs[2].data<C>()),
          mean_(args.inputs[3].data<C>()),
          rstd_(args.inputs[4].data<C>()),
          dx_(args.outputs[0].data<T>()),
          g_(added_ ? args.outputs[3].data<T>() : nullptr),
          dweight_(args.outputs[1].data<C>()),
          dbias_(args.outputs[2].data<C>()) {}

    void run() const {
      affine_.form(weight_, bias_, mean_, rstd_);
      set_vectors(sum());
      parallel_for(threads_, rows_.rows, row_grain(rows_.width), [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t at = begin * rows_.width;
        batch_norm_gradient_kernel(BatchNormGradient<T>{.rows = end - begin,
                                                        .width = rows_.width,
                                                        .x = x_ + at,
                                                        .scale = affine_.scale,
                                                        .offset = affine_.offset,
                                                        .mean = mean_,
                                                        .dy = (added_ ? g_ : dy_) + at,
                                                        .factor = factor_,
                                                        .addend = addend_,
                                                        .relu = relu_ && !added_,
                                                        .dx = dx_ + at});
      });
    }

   private:
    const double* sum() const {
      return sums_.sum([&](std::int64_t chunk, double* first, double* second) {
        const std::int64_t at = rows_.begin(chunk) * rows_.width;
        batch_norm_sums_kernel(BatchNormSums<T>{.rows = rows_.count(chunk),
                                                .width = rows_.width,
                                                .x = x_ + at,
                                                .scale = affine_.scale,
                                                .offset = affine_.offset,
                                                .mean = mean_,
                                                .dy = dy_ + at,
                                                .y = y_ == nullptr ? nullptr : y_ + at,
                                                .relu = relu_,
                                                .g = g_ == nullptr ? nullptr : g_ + at,
                                                .sums = first,
                                                .products = second});
      });
    }

    void set_vectors(const double* sums) const {
      const double count = static_cast<double>(std::max<std::int64_t>(rows_.rows, 1));
      for (std::int64_t c = 0; c < rows_.width; ++c) {
        const double sum = sums[c];
        const double product = sums[c + rows_.width];
        const auto scale = static_cast<double>(affine_.scale[c]);
        const auto rstd = static_cast<double>(rstd_[c]);
        dweight_[c] = static_cast<C>(rstd * product);
        dbias_[c] = static_cast<C>(sum);
        factor_[c] = static_cast<C>(-scale * rstd * rstd * product / count);
        addend_[c] = static_cast<C>(-scale * sum / count);
      }
    }

    Rows rows_;
    int threads_;
    bool added_, relu_;
    ChunkSums sums_;
    Affine<C> affine_;
    C *factor_, *addend_;
    const T *x_, *dy_, *y_;
    const C *weight_, *bias_, *mean_, *rstd_;
    T *dx_, *g_;
    C *dweight_, *dbias_;
  };

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
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([call = Call<T>(args, attributes_, residual_)] { call.run(); });
    });
  }

 private:
  bool reads_y() const { return attributes_.relu && residual_; }

  template <typename T>
  class Call {
   public:
    using C = Compute<T>;
    Call(const PrepareArgs& args, const BatchNormAttributes& attributes, bool residual)
        : rows_(args.inputs[0].shape()),
          epsilon_(attributes.epsilon),
          sums_(args.scratch, rows_, threads_of(args)),
          affine_(args.scratch, rows_.width),
          normalise_(args, affine_, residual ? &args.inputs[4] : nullptr, attributes.relu),
          x_(args.inputs[0].data<T>()),
          weight_(args.inputs[1].data<C>()),
          bias_(args.inputs[2].data<C>()),
          shift_(args.inputs[3].data<C>()),
          mean_(args.outputs[1].data<C>()),
          rstd_(args.outputs[2].data<C>()),
          sum_(args.outputs[3].data<C>()),
          squares_(args.outputs[4].data<C>()) {}

    void run() const {
      set_vectors(sums_.sum([&](std::int64_t chunk, double* first, double* second) {
        column_moments_kernel({rows_.count(chunk), rows_.width, first, second}, x_ + rows_.begin(chunk) * rows_.width);
      }));
      affine_.form(weight_, bias_, mean_, rstd_);
      normalise_.run();
    }

   private:
    void set_vectors(const double* sums) const {
      const auto count = static_cast<double>(rows_.rows);
      for (std::int64_t c = 0; c < rows_.width; ++c) {
        const double sum = sums[c];
        const double squares = sums[c + rows_.width];
        const double mean = rows_.rows == 0 ? 0.0 : sum / count;
        const double variance = rows_.rows == 0 ? 0.0 : std::max(0.0, squares / count - mean * mean);
        const auto shift = static_cast<double>(shift_[c]);
        mean_[c] = static_cast<C>(mean);
        rstd_[c] = static_cast<C>(1.0 / std::sqrt(variance + epsilon_));
        sum_[c] = static_cast<C>(sum - count * shift);
        squares_[c] = static_cast<C>(squares - shift * (2.0 * sum - count * shift));
      }
    }

    Rows rows_;
    double epsilon_;
    ChunkSums sums_;
    Affine<C> affine_;
    Normalise<T> normalise_;
    const T* x_;
    const C *weight_, *bias_, *shift_;
    C *mean_, *rstd_, *sum_, *squares_;
  };

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
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      using C = Compute<T>;
      const Affine<C> affine(args.scratch, args.inputs[0].shape()[-1]);
      const Normalise<T> normalise(args, affine, residual_ ? &args.inputs[5] : nullptr, attributes_.relu);
      return prepared([affine, normalise, epsilon = attributes_.epsilon, rstd = args.scratch.take<C>(affine.width),
                       weight = args.inputs[1].data<C>(), bias = args.inputs[2].data<C>(),
                       mean = args.inputs[3].data<C>(), variance = args.inputs[4].data<C>()] {
        for (std::int64_t c = 0; c < affine.width; ++c)
          rstd[c] = static_cast<C>(1.0 / std::sqrt(static_cast<double>(variance[c]) + epsilon));
        affine.form(weight, bias, mean, rstd);
        normalise.run();
      });
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
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_wide(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([call = Call<T>{.momentum = attributes_.momentum,
                                      .channels = args.outputs[0].elements(),
                                      .means = args.outputs[0].data<T>(),
                                      .variances = args.outputs[1].data<T>(),
                                      .updates = args.outputs[2].data<T>(),
                                      .sums = args.inputs[3].data<T>(),
                                      .squares = args.inputs[4].data<T>(),
                                      .rows = args.inputs[5].data<T>(),
                                      .apply = args.inputs[6].data<double>()}] { call.run(); });
    });
  }

 private:
  template <typename T>
  struct Call {
    double momentum;
    std::int64_t channels;
    T *means, *variances, *updates;
    const T *sums, *squares, *rows;
    const double* apply;

    void run() const {
      const auto count = static_cast<double>(*rows);
      if (*apply == 0.0 || count < 1.0) return;
      for (std::int64_t c = 0; c < channels; ++c) {
        const double moved = static_cast<double>(sums[c]) / count;
        const double spread = static_cast<double>(squares[c]) / count - moved * moved;
        const double unbiased = std::max(0.0, spread) * count / std::max(1.0, count - 1.0);
        const auto before = static_cast<double>(variances[c]);
        means[c] = static_cast<T>(static_cast<double>(means[c]) + momentum * moved);
        variances[c] = static_cast<T>(before + momentum * (unbiased - before));
      }
      *updates += T{1};
    }
  };

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
