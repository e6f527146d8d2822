// What all kernels of the text-to-semantic network agree on: sizes, the state of a slot, the order
// of the weights, and the tensor-core product that every matrix of the network goes through.
#pragma once

#include <cuda_fp16.h>
#include <stdint.h>

namespace t2s {

constexpr int WIDTH = 512;
constexpr int HEADS = 16;
constexpr int HEAD = 32;
constexpr int HIDDEN = 2048;
constexpr int VOCABULARY = 1025;
constexpr int END = VOCABULARY - 1;
constexpr int SLOTS = 8;  // the columns of one tensor-core product

// The work of a layer is cut into 16 x 8 parts: a head (and 128 hidden units) by 8 ranks.
constexpr int RANKS = 8;
constexpr int PARTS = HEADS * RANKS;
constexpr int ROWS = WIDTH / RANKS;    // rows of a projection back to the width
constexpr int UNITS = HIDDEN / HEADS;  // hidden units of a head's group
constexpr int PIECE = HEAD / RANKS;    // channels of q, of k and of v
constexpr int TEAMS = 2;               // heads of a cluster of blocks
constexpr int CLUSTERS = HEADS / TEAMS;
constexpr int LOGIT_TILES = (VOCABULARY + 15) / 16;
constexpr int LOGITS = LOGIT_TILES * 16;

constexpr int THREADS = 256;  // of a team
constexpr int WARPS = THREADS / 32;
constexpr unsigned ALL = 0xffffffffu;

// One 16 x 16 block of weights: 32 lanes, 16 bytes each, in the order of the tensor core.
constexpr int BLOCK_BYTES = 512;
constexpr int ATTENTION_BYTES = (WIDTH / 16 + ROWS / 16 * (HEAD / 16)) * BLOCK_BYTES;
constexpr int FEED_BYTES = (WIDTH / 16 + ROWS / 16 * (UNITS / 16)) * BLOCK_BYTES;
constexpr int NORM_FLOATS = 2 * WIDTH;  // weight, then bias
constexpr int BIAS_FLOATS = ROWS + 16;  // of the rows that are summed, then of the product

constexpr int TOKENS = 2048;     // places for the tokens of a slot
constexpr int HEARD_WORDS = 64;  // a bit for every token that was heard

enum State : int32_t { EMPTY = 0, RUNNING = 1, ENDED = 2, CUT = 3, FULL = 4 };

// 16 words; the host writes it when a sentence enters, `draw` keeps it up to date.
struct Slot {
  int32_t state;
  int32_t token;     // drawn last, read next
  int32_t position;  // its place among the audio tokens, the prompt's counted
  int32_t length;    // filled places of the cache
  int32_t count;     // tokens drawn and kept
  int32_t limit;     // after so many the sentence is cut
  int32_t top_k;
  int32_t greedy;  // without noise
  float top_p;
  float temperature;
  float penalty;
  uint32_t seed_low;
  uint32_t seed_high;
  int32_t unused[3];
};
static_assert(sizeof(Slot) == 64, "the host writes slots of 64 bytes");

struct Product {  // rows g and g + 8, columns 2q and 2q + 1 of a 16 x 8 result; lane = 4g + q
  float low0, low1, high0, high1;
};

__device__ __forceinline__ void multiply(Product& sum, const uint4& weights, uint32_t first,
                                         uint32_t second) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum.low0), "+f"(sum.low1), "+f"(sum.high0), "+f"(sum.high1)
      : "r"(weights.x), "r"(weights.y), "r"(weights.z), "r"(weights.w), "r"(first), "r"(second));
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum.low0), "+f"(sum.low1), "+f"(sum.high0), "+f"(sum.high1)
      : "r"(weights.x), "r"(weights.y), "r"(first));
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum.low0), "+f"(sum.low1), "+f"(sum.high0), "+f"(sum.high1)
      : "r"(weights.z), "r"(weights.w), "r"(second));
#endif
}

__device__ __forceinline__ uint32_t pack_halves(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ __forceinline__ float2 unpack_halves(uint32_t pair) {
  return __half22float2(*reinterpret_cast<const __half2*>(&pair));
}

__device__ __forceinline__ float quad_dot(const float* query, const uint4& key) {
  const float2 a = unpack_halves(key.x), b = unpack_halves(key.y);
  const float2 c = unpack_halves(key.z), d = unpack_halves(key.w);
  float even = query[0] * a.x, odd = query[1] * a.y;
  even = fmaf(query[2], b.x, even), odd = fmaf(query[3], b.y, odd);
  even = fmaf(query[4], c.x, even), odd = fmaf(query[5], c.y, odd);
  even = fmaf(query[6], d.x, even), odd = fmaf(query[7], d.y, odd);
  float sum = even + odd;
  sum += __shfl_xor_sync(ALL, sum, 1);
  return sum + __shfl_xor_sync(ALL, sum, 2);
}

__device__ __forceinline__ void add_weighted(float* out, float weight, const uint4& value) {
  const float2 a = unpack_halves(value.x), b = unpack_halves(value.y);
  const float2 c = unpack_halves(value.z), d = unpack_halves(value.w);
  out[0] = fmaf(weight, a.x, out[0]), out[1] = fmaf(weight, a.y, out[1]);
  out[2] = fmaf(weight, b.x, out[2]), out[3] = fmaf(weight, b.y, out[3]);
  out[4] = fmaf(weight, c.x, out[4]), out[5] = fmaf(weight, c.y, out[5]);
  out[6] = fmaf(weight, d.x, out[6]), out[7] = fmaf(weight, d.y, out[7]);
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int step = 16; step; step >>= 1) value += __shfl_xor_sync(ALL, value, step);
  return value;
}

}  // namespace t2s
