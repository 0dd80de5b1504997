#include "network/trainer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

#include "base/check.hpp"
#include "network/initializer.hpp"

namespace fastmlp {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kMonitorInterval{25};
/// Work between two looks at the clock: some tens of microseconds.
constexpr double kFlopsBetweenChecks = 8e6;
/// Times that a member reaches for a share of the update.
constexpr std::int64_t kHands = 32;
/// Batches without enough zero columns after which an epoch looks no further.
constexpr int kDenseBatches = 4;

std::int64_t round_up(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

std::int64_t checked_batch(std::int64_t batch_size) {
  require(batch_size >= 1, "batch_size must be positive, got " + std::to_string(batch_size));
  return batch_size;
}

}  // namespace

template <typename T>
Trainer<T>::Trainer(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients)
    : mlp_(mlp),
      batch_size_(checked_batch(batch_size)),
      plan_(make_plan(mlp.spec(), batch_size, threads, mlp.kernels().panel, sizeof(T))),
      columns_(mlp.spec().features(), plan_.threads) {
  const NetworkSpec& spec = mlp.spec();
  const std::int64_t panel = mlp.kernels().panel;

  std::int64_t widest = 0;
  for (std::int64_t level = 0; level <= spec.layers(); ++level) {
    const std::int64_t size = spec.layer_sizes[static_cast<std::size_t>(level)];
    const std::int64_t elements = checked_product(round_up(size, panel), batch_size);
    value_offsets_.push_back(level == 0 ? 0 : arena_.reserve<T>(elements));
    gradient_offsets_.push_back(level == 0 ? 0 : arena_.reserve<T>(elements));
    if (level > 1) widest = std::max(widest, size);
  }
  const std::int64_t input_elements = checked_product(round_up(spec.features(), panel), batch_size);
  for (int member = 0; member < plan_.threads; ++member) {
    const bool shares = member > 0 && !plan_.own_input;
    input_offsets_.push_back(shares ? input_offsets_.front() : arena_.reserve<T>(input_elements));
  }
  const std::int64_t member_rows = (batch_size + plan_.threads - 1) / plan_.threads;
  for (int member = 0; member < plan_.threads; ++member) {
    transposed_offsets_.push_back(
        arena_.reserve<T>(checked_product(round_up(member_rows, panel), std::max<std::int64_t>(widest, 1))));
    block_offsets_.push_back(arena_.reserve<T>(panel * panel));
  }
  row_loss_offset_ = arena_.reserve<T>(batch_size);
  predicted_offset_ = arena_.reserve<std::int32_t>(batch_size);
  const std::int64_t parameters = mlp.parameter_elements();
  const bool updates = gradients == nullptr;
  const int slots = updates ? mlp.kernels().slots[static_cast<int>(optimizer)] : 0;
  const std::size_t slot_offset = arena_.reserve<T>(checked_product(parameters, slots));
  last_good_offset_ = arena_.reserve<T>(updates ? parameters : 0);
  arena_.allocate();
  sink_ = {mlp.parameters(), gradients, slots > 0 ? arena_.at<T>(slot_offset) : nullptr, parameters, optimizer, {}};
}

template <typename T>
Panels<T> Trainer<T>::values(std::int64_t level, std::int64_t batch) const {
  const auto l = static_cast<std::size_t>(level);
  return {arena_.at<T>(value_offsets_[l]), batch, mlp_.spec().layer_sizes[l], mlp_.kernels().panel};
}

template <typename T>
Panels<T> Trainer<T>::gradient(std::int64_t level, std::int64_t batch) const {
  const auto l = static_cast<std::size_t>(level);
  return {arena_.at<T>(gradient_offsets_[l]), batch, mlp_.spec().layer_sizes[l], mlp_.kernels().panel};
}

/// One epoch as its team sees it. Between the two barriers of a step nobody writes `stop_` or `diverged_`, so all
/// members take the same decision there.
template <typename T>
class Trainer<T>::Epoch {
 public:
  Epoch(Trainer& trainer, const EpochRequest<T>& request, const std::int64_t* order)
      : trainer_(trainer),
        request_(request),
        spec_(trainer.mlp_.spec()),
        kernels_(trainer.mlp_.kernels()),
        order_(order),
        sink_(trainer.sink_) {}

  void run(const Member& member) {
    const std::int64_t total = request_.samples.count;
    // Batches whose columns are looked at; dense data ends that after a few.
    int patience = kDenseBatches;
    Moments moments = trainer_.moments_;
    mark_columns(0, member);
    member.barrier.wait();
    for (std::int64_t first = 0; first < total; first += trainer_.batch_size_) {
      const bool leaves_out = patience > 0 && trainer_.columns_.collect(member.index);
      if (patience > 0) patience = leaves_out ? kDenseBatches : patience - 1;
      const Batch batch = make_batch(first, leaves_out, member);
      forward_and_backward(batch, member);
      if (member.index == 0) {
        report();
        next_block_.store(0, std::memory_order_relaxed);
      }
      member.barrier.wait();
      const bool halted = stop_.load(std::memory_order_relaxed) ||
                          (diverged_.load(std::memory_order_relaxed) && sink_.gradients == nullptr);
      if (halted) return;
      if (patience > 0) {
        mark_columns(first + batch.size, member);
      } else {
        prefetch_rows(first + batch.size, member);
      }
      update(batch, moments.next<T>(sink_.optimizer, request_.settings), member);
      if (member.index == 0) {
        count_step(batch.size);
        trainer_.moments_ = moments;
      }
      member.barrier.wait();
    }
  }

  EpochResult result() const {
    EpochResult result{RunStatus::completed, steps_, progress_};
    if (diverged_.load() && sink_.gradients == nullptr) result.status = RunStatus::diverged;
    if (stop_.load()) result.status = RunStatus::interrupted;
    return result;
  }

 private:
  /// A mini-batch as one member sees it.
  struct Batch {
    std::int64_t first;                        // in the order of the epoch
    std::int64_t size;                         // samples of all members
    Range rows;                                // those of this member
    const std::vector<std::int32_t>* columns;  // live input columns, null: all
    const std::vector<std::int32_t>* idle;     // the others
  };

  Batch make_batch(std::int64_t first, bool leaves_out, const Member& member) const {
    const std::int64_t size = batch_size(first);
    const LiveColumns& columns = trainer_.columns_;
    return {first, size, even_share(size, member.index, member.count),
            leaves_out ? &columns.live(member.index) : nullptr, leaves_out ? &columns.idle(member.index) : nullptr};
  }

  std::int64_t batch_size(std::int64_t first) const {
    return std::max<std::int64_t>(0, std::min(trainer_.batch_size_, request_.samples.count - first));
  }

  /// What layer l + 1 reads.
  LayerInput<T> input(std::int64_t l, const Batch& batch, const Member& member) const {
    LayerInput<T> result{trainer_.values(l, batch.size)};
    if (l > 0) return result;
    result.values.data = trainer_.arena_.template at<T>(member_offset(trainer_.input_offsets_, member));
    if (batch.columns == nullptr) return result;
    result.values.cols = static_cast<std::int64_t>(batch.columns->size());
    result.weight_rows = batch.columns->data();
    return result;
  }

  void forward_and_backward(const Batch& batch, const Member& member) {
    const std::int64_t last = spec_.layers();
    const Range rows = batch.rows;
    const Range gathered = gathered_rows(batch.size, member);
    gather_rows(kernels_, spec_, request_.samples, order_, batch.first + gathered.begin, batch.columns,
                input(0, batch, member).values, gathered);
    bool done = true;
    for (std::int64_t l = 1; l <= last; ++l) {
      if (trainer_.plan_.meets_before(static_cast<std::size_t>(l - 1))) member.barrier.wait();
      if (done) done = forward(l, batch, member);
    }
    if (!done || rows.size() == 0) return;
    output_gradient(batch);
    T* transposed = trainer_.arena_.template at<T>(member_offset(trainer_.transposed_offsets_, member));
    T* scratch = trainer_.arena_.template at<T>(member_offset(trainer_.block_offsets_, member));
    for (std::int64_t l = last; l > 1; --l) {
      const DenseLayer<T>& layer = trainer_.mlp_.layer(l - 1);
      const DenseLayer<T>& below = trainer_.mlp_.layer(l - 2);
      const Panels<T> from = trainer_.gradient(l, batch.size);
      const Panels<T> to = trainer_.gradient(l - 1, batch.size);
      const Panels<T> values = trainer_.values(l - 1, batch.size);
      const bool by_rows = trainer_.plan_.transposes_weights[static_cast<std::size_t>(l - 1)];
      if (!by_rows) transpose_rows(kernels_, from, rows, transposed);
      done = in_blocks(rows, from.cols, to.count(), !by_rows, member, [&](Range block, Range depth, Range panels) {
        if (by_rows) {
          dense_backward_data_by_rows(kernels_, layer.weights, from, below.activation, values, to, block, depth, panels,
                                      transposed);
        } else {
          dense_backward_data(kernels_, layer.weights, transposed + (block.begin - rows.begin) * from.cols,
                              below.activation, values, to, block, depth, panels, scratch);
        }
      });
      if (!done) return;
    }
  }

  Split split(std::int64_t l) const { return trainer_.plan_.splits[static_cast<std::size_t>(l - 1)]; }

  /// Output panels of layer l that are this member's own in a split by outputs.
  Range own_panels(std::int64_t l, const Member& member) const {
    return even_share(trainer_.mlp_.layer(l - 1).weights.count(), member.index, member.count);
  }

  /// This member's part of layer l; false when the run was stopped.
  bool forward(std::int64_t l, const Batch& batch, const Member& member) {
    const LayerInput<T> from = input(l - 1, batch, member);
    DenseLayer<T> layer = trainer_.mlp_.layer(l - 1);
    Panels<T> to = trainer_.values(l, batch.size);
    Range rows = batch.rows;
    if (split(l) == Split::outputs) {
      rows = {0, batch.size};
      to = to.slice(own_panels(l, member));
      layer = output_slice(layer, own_panels(l, member));
    }
    return in_blocks(rows, from.values.cols, to.count(), false, member, [&](Range block, Range depth, Range panels) {
      dense_forward(kernels_, layer, from, to, block, depth, panels);
    });
  }

  /// The rows of a batch that this member gathers.
  Range gathered_rows(std::int64_t size, const Member& member) const {
    return trainer_.plan_.own_input ? Range{0, size} : even_share(size, member.index, member.count);
  }

  /// Looks at this member's rows of a batch to come.
  void mark_columns(std::int64_t first, const Member& member) {
    const Range rows = even_share(batch_size(first), member.index, member.count);
    trainer_.columns_.mark(kernels_, request_.samples, order_, {first + rows.begin, first + rows.end}, member.index);
  }

  /// Starts fetching them: the order is random, so no hardware sees them coming. Always inline: to GCC a function that
  /// only prefetches has no effect, and it drops the call.
  __attribute__((always_inline)) void prefetch_rows(std::int64_t first, const Member& member) {
    constexpr std::int64_t kLine = 64;
    constexpr std::int64_t kMostBytes = 128 << 10;  // a share of the second-level cache; long rows need no help
    const SampleRows& samples = request_.samples;
    const Range rows = gathered_rows(batch_size(first), member);
    if (order_ == nullptr || rows.size() * samples.row_bytes > kMostBytes) return;
    for (std::int64_t row = first + rows.begin; row < first + rows.end; ++row) {
      const auto* sample = static_cast<const unsigned char*>(samples.data) + order_[row] * samples.row_bytes;
      for (std::int64_t byte = 0; byte < samples.row_bytes; byte += kLine) __builtin_prefetch(sample + byte, 0, 2);
    }
  }

  /// Loss, correct predictions and the gradient by the last layer's pre-activations.
  void output_gradient(const Batch& batch) {
    const std::int64_t last = spec_.layers();
    const Range rows = batch.rows;
    const std::int64_t first = batch.first + rows.begin;
    const Panels<T> outputs = trainer_.values(last, batch.size);
    const Panels<T> gradient = trainer_.gradient(last, batch.size);
    T* row_loss = trainer_.arena_.template at<T>(trainer_.row_loss_offset_) + rows.begin;
    auto* predicted = trainer_.arena_.template at<std::int32_t>(trainer_.predicted_offset_) + rows.begin;
    const auto* targets = static_cast<const unsigned char*>(request_.targets);
    if (order_ == nullptr) targets += first * target_bytes();
    const std::int64_t* index = order_ == nullptr ? nullptr : order_ + first;
    kernels_.loss[static_cast<int>(spec_.loss)]({rows.size(), outputs.cols, outputs.at(0, rows.begin),
                                                 gradient.at(0, rows.begin), outputs.stride(), targets, index,
                                                 T{1} / static_cast<T>(batch.size), row_loss, predicted});
    activation_backward(kernels_, trainer_.mlp_.layer(last - 1).activation, outputs, gradient, rows);
    if (!kernels_.all_finite(rows.size(), row_loss)) diverged_.store(true, std::memory_order_relaxed);
  }

  void update(const Batch& batch, const UpdateSettings<T>& settings, const Member& member) {
    GradientSink<T> sink = sink_;
    sink.settings = settings;
    T* scratch = trainer_.arena_.template at<T>(member_offset(trainer_.block_offsets_, member));
    // Layers split by outputs stay with the owners of their panels.
    std::int64_t shared = 0;
    for (std::int64_t l = 1; l <= spec_.layers(); ++l) {
      const LayerInput<T> from = input(l - 1, batch, member);
      const DenseLayer<T>& layer = trainer_.mlp_.layer(l - 1);
      if (split(l) == Split::rows) {
        shared += weight_blocks(from, layer.weights);
        continue;
      }
      const Range own = own_panels(l, member);
      const DenseLayer<T> slice = output_slice(layer, own);
      dense_backward_weights(kernels_, slice, from, trainer_.gradient(l, batch.size).slice(own),
                             {0, weight_blocks(from, slice.weights)}, trainer_.plan_.panel_group, sink, scratch);
    }
    // The blocks of the others, which differ in size, go to whoever is free.
    const std::int64_t hand = std::max<std::int64_t>(1, shared / (member.count * kHands));
    for (std::int64_t b = next_block_.fetch_add(hand); b < shared; b = next_block_.fetch_add(hand)) {
      update_blocks(batch, {b, std::min(b + hand, shared)}, sink, member, scratch);
    }
    if (batch.idle == nullptr) return;
    dense_update_idle(kernels_, trainer_.mlp_.layer(0).weights, batch.idle->data(),
                      even_share(static_cast<std::int64_t>(batch.idle->size()), member.index, member.count), sink,
                      scratch);
  }

  /// Updates some of the blocks of the layers that are split by rows, counted through all of them.
  void update_blocks(const Batch& batch, Range wanted, const GradientSink<T>& sink, const Member& member, T* scratch) {
    std::int64_t before = 0;
    for (std::int64_t l = 1; l <= spec_.layers(); ++l) {
      if (split(l) == Split::outputs) continue;
      const DenseLayer<T>& layer = trainer_.mlp_.layer(l - 1);
      const LayerInput<T> from = input(l - 1, batch, member);
      const std::int64_t count = weight_blocks(from, layer.weights);
      const Range blocks{std::clamp<std::int64_t>(wanted.begin - before, 0, count),
                         std::clamp<std::int64_t>(wanted.end - before, 0, count)};
      before += count;
      if (blocks.size() == 0) continue;
      dense_backward_weights(kernels_, layer, from, trainer_.gradient(l, batch.size), blocks,
                             trainer_.plan_.panel_group, sink, scratch);
    }
  }

  /// Runs work(rows, depth, panels) over all of `rows`, [0, depth) and [0, panels), in the blocks of the plan and
  /// looking at the clock now and then; false when the run was stopped. With `whole_panels` a block of rows that is
  /// not whole panels keeps its depth in one piece.
  template <typename Work>
  bool in_blocks(Range rows, std::int64_t depth, std::int64_t panels, bool whole_panels, const Member& member,
                 Work work) {
    const Plan& plan = trainer_.plan_;
    const std::int64_t panel = kernels_.panel;
    bool first = true;
    for (std::int64_t row = rows.begin; row < rows.end; row += plan.row_block) {
      const Range block{row, std::min(row + plan.row_block, rows.end)};
      const std::int64_t depth_block = whole_panels && block.size() % panel != 0 ? depth : plan.depth_block;
      for (std::int64_t k = 0; k < depth; k += depth_block) {
        const Range part{k, std::min(k + depth_block, depth)};
        const double flops = 2.0 * static_cast<double>(block.size() * panel) * static_cast<double>(part.size());
        const auto slice = static_cast<std::int64_t>(std::max(1.0, kFlopsBetweenChecks / flops));
        for (std::int64_t p = 0; p < panels; p += slice) {
          if (!first && member.index == 0) report();
          first = false;
          if (stop_.load(std::memory_order_relaxed)) return false;
          work(block, part, Range{p, std::min(p + slice, panels)});
        }
      }
    }
    return true;
  }

  void report() {
    if (Clock::now() < trainer_.next_report_) return;
    if (request_.monitor && !request_.monitor(progress_)) stop_.store(true, std::memory_order_relaxed);
    trainer_.next_report_ = Clock::now() + kMonitorInterval;
  }

  void count_step(std::int64_t batch) {
    const T* row_loss = trainer_.arena_.template at<T>(trainer_.row_loss_offset_);
    const auto* predicted = trainer_.arena_.template at<std::int32_t>(trainer_.predicted_offset_);
    for (std::int64_t row = 0; row < batch; ++row) progress_.loss_sum += static_cast<double>(row_loss[row]);
    if (takes_classes(spec_.loss)) {
      const auto* labels = static_cast<const std::int64_t*>(request_.targets);
      for (std::int64_t row = 0; row < batch; ++row) {
        const std::int64_t at = progress_.samples_done + row;
        progress_.correct += predicted[row] == labels[order_ == nullptr ? at : order_[at]];
      }
    }
    progress_.samples_done += batch;
    ++steps_;
  }

  std::int64_t target_bytes() const {
    return takes_classes(spec_.loss) ? static_cast<std::int64_t>(sizeof(std::int64_t))
                                     : spec_.outputs() * static_cast<std::int64_t>(sizeof(T));
  }
  static std::size_t member_offset(const std::vector<std::size_t>& offsets, const Member& member) {
    return offsets[static_cast<std::size_t>(member.index)];
  }

  Trainer& trainer_;
  const EpochRequest<T>& request_;
  const NetworkSpec& spec_;
  const KernelTable<T>& kernels_;
  const std::int64_t* order_;
  GradientSink<T> sink_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> diverged_{false};
  std::atomic<std::int64_t> next_block_{0};  // of the update; set back between its steps
  Progress progress_;                        // written by member 0 between barriers
  std::int64_t steps_ = 0;
};

template <typename T>
EpochResult Trainer<T>::run_epoch(const EpochRequest<T>& request) {
  std::vector<std::int64_t> order;
  if (request.shuffle) {
    order.resize(static_cast<std::size_t>(request.samples.count));
    shuffled_order(request.seed, request.epoch, request.samples.count, order.data());
  }
  const bool updates = sink_.gradients == nullptr;
  T* last_good = arena_.at<T>(last_good_offset_);
  if (updates) std::copy_n(mlp_.parameters(), mlp_.parameter_elements(), last_good);
  Epoch epoch(*this, request, request.shuffle ? order.data() : nullptr);
  run_team(plan_.threads, [&](const Member& member) { epoch.run(member); });
  EpochResult result = epoch.result();
  // The update of the last step is seen by no loss of this epoch.
  if (updates && !mlp_.kernels().all_finite(mlp_.parameter_elements(), mlp_.parameters())) {
    result.status = RunStatus::diverged;
  }
  if (result.status == RunStatus::diverged) std::copy_n(last_good, mlp_.parameter_elements(), mlp_.parameters());
  return result;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastmlp
