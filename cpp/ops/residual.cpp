#include "ops/residual.hpp"

#include <algorithm>

namespace fastmlp {
namespace {

template <typename T>
void copy_rows(const Panels<T>& from, const Panels<T>& to, Range rows, std::int64_t p) {
  std::copy_n(from.at(p, rows.begin), rows.size() * from.panel, to.at(p, rows.begin));
}

}  // namespace

template <typename T>
void residual_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BlockEnds<T>& ends,
                      const Panels<T>& values, const Dropout& dropout, Range rows, std::int64_t p) {
  const std::int64_t vectors = vectors_for(kernels, values.width(p));
  kernels.activate[static_cast<int>(Activation::identity)](rows.size(), vectors, T{0}, layer.bias + p * values.panel,
                                                           values.at(p, rows.begin), nullptr);
  if (ends.skip.data != nullptr) {
    if (dropout.rate > 0) drop_values<T>(kernels, {values}, dropout, rows, p);
    kernels.add_rows(rows.size(), vectors, ends.skip.at(p, rows.begin), values.at(p, rows.begin));
  }
  if (ends.kept.data != nullptr) copy_rows(values, ends.kept, rows, p);
}

template <typename T>
void residual_backward(const KernelTable<T>& kernels, const Panels<T>& dskip, const Panels<T>& dsum,
                       const Panels<T>& dz, const Dropout& dropout, Range rows, std::int64_t p) {
  if (dskip.data != nullptr) {
    kernels.add_rows(rows.size(), vectors_for(kernels, dsum.width(p)), dskip.at(p, rows.begin), dsum.at(p, rows.begin));
  }
  if (dz.data == dsum.data) return;
  copy_rows(dsum, dz, rows, p);
  if (dropout.rate > 0) drop_values<T>(kernels, {dz}, dropout, rows, p);
}

#define FASTMLP_INSTANTIATE(T)                                                                                       \
  template void residual_forward(const KernelTable<T>&, const DenseLayer<T>&, const BlockEnds<T>&, const Panels<T>&, \
                                 const Dropout&, Range, std::int64_t);                                               \
  template void residual_backward(const KernelTable<T>&, const Panels<T>&, const Panels<T>&, const Panels<T>&,       \
                                  const Dropout&, Range, std::int64_t);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp
