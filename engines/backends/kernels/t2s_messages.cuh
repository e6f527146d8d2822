// What blocks of sm_90 and later tell each other: stores into a neighbour's shared memory that
// count on its barrier, bulk copies, and words of global memory that carry the number of their
// phase.
#pragma once

#include <stdint.h>

namespace t2s {

constexpr unsigned PATIENCE = 1u << 24;  // polls before a lost neighbour ends the kernel

__device__ __forceinline__ uint32_t address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

__device__ __forceinline__ uint32_t on_rank(uint32_t shared, int rank) {
  uint32_t mapped;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(shared), "r"(rank));
  return mapped;
}

__device__ __forceinline__ void send(uint32_t to, uint32_t value, uint32_t barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to),
      "r"(value), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ void send(uint32_t to, float2 pair, uint32_t barrier) {
  const uint64_t value =
      static_cast<uint64_t>(__float_as_uint(pair.y)) << 32 | __float_as_uint(pair.x);
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.b64 [%0], %1, [%2];" ::"r"(to),
      "l"(value), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ void expect(uint64_t& barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address(&barrier)),
               "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void wait(uint64_t& barrier, uint32_t parity) {
  uint32_t done = 0;
  for (unsigned polls = 0; !done; ++polls) {
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(done)
        : "r"(address(&barrier)), "r"(parity)
        : "memory");
    if (polls > PATIENCE) __trap();
  }
}

__device__ __forceinline__ void copy(void* to, const void* from, uint32_t bytes,
                                     uint64_t& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(address(to)),
      "l"(from), "r"(bytes), "r"(address(&barrier))
      : "memory");
}

__device__ __forceinline__ void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}

// A value together with the number of its phase, written and read as one.
__device__ __forceinline__ void publish(uint64_t* word, uint32_t value, uint32_t phase) {
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(word),
               "l"(static_cast<uint64_t>(phase) << 32 | value)
               : "memory");
}

__device__ __forceinline__ uint64_t look(const uint64_t* word) {
  uint64_t value;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(word) : "memory");
  return value;
}

__device__ __forceinline__ uint32_t await(const uint64_t* word, uint32_t phase) {
  uint64_t value = look(word);
  for (unsigned polls = 0; static_cast<uint32_t>(value >> 32) != phase; ++polls) {
    if (polls > PATIENCE) __trap();
    value = look(word);
  }
  return static_cast<uint32_t>(value);
}

}  // namespace t2s
