// The arithmetic of a slot, the same in every kernel and for every number of slots: whichever
// kernels a GPU runs, the order of every sum is the one written here. Fused and separate roundings
// are spelled out, since a compiler may choose differently in two kernels.
#pragma once

#include "t2s_layout.cuh"

namespace t2s {

constexpr int QUADS = 8;
constexpr int KEYS = QUADS * RANKS;  // keys of one round: a quad of lanes reads one
constexpr int ROUNDS = 5;            // keys of a quad that are loaded at once
constexpr int SUM_PITCH = 20, WARP_SUMS = SLOTS * SUM_PITCH + 4;
constexpr int INPUT_PITCH = WIDTH + 8;  // halves; keeps banks apart

// A row of the residual stream in a warp: lane l holds channels 4(32i + l) to 4(32i + l) + 3.
struct Row {
  float4 x[4];

  __device__ __forceinline__ void load(const float* from) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      x[i] = reinterpret_cast<const float4*>(from)[i * 32 + (threadIdx.x & 31)];
  }

  // Mean and scale of a layer norm over the row.
  __device__ __forceinline__ float2 statistics() const {
    float sum = 0, squares = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sum += (x[i].x + x[i].y) + (x[i].z + x[i].w);
      squares = fmaf(x[i].x, x[i].x, fmaf(x[i].y, x[i].y, squares));
      squares = fmaf(x[i].z, x[i].z, fmaf(x[i].w, x[i].w, squares));
    }
#pragma unroll
    for (int step = 16; step; step >>= 1) {
      sum += __shfl_xor_sync(ALL, sum, step);
      squares += __shfl_xor_sync(ALL, squares, step);
    }
    const float mean = sum * (1.0f / WIDTH);
    const float variance = fmaf(squares, 1.0f / WIDTH, -__fmul_rn(mean, mean));
    return make_float2(mean, rsqrtf(fmaxf(variance, 0.0f) + 1e-5f));
  }

  __device__ __forceinline__ void embed(const float* embedding, const float* position) {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float4 one = reinterpret_cast<const float4*>(embedding)[i * 32 + lane];
      const float4 two = reinterpret_cast<const float4*>(position)[i * 32 + lane];
      x[i] = make_float4(one.x + two.x, one.y + two.y, one.z + two.z, one.w + two.w);
    }
  }
};

// Four channels through a layer norm; `norm` holds weight and bias.
__device__ __forceinline__ float4 normalised(const float4& x, float2 statistics, const float* norm,
                                             int group) {
  const float mean = statistics.x, scale = statistics.y;
  const int at = group * 32 + (threadIdx.x & 31);
  const float4 weight = reinterpret_cast<const float4*>(norm)[at];
  const float4 bias = reinterpret_cast<const float4*>(norm + WIDTH)[at];
  return make_float4(fmaf(__fmul_rn(x.x - mean, scale), weight.x, bias.x),
                     fmaf(__fmul_rn(x.y - mean, scale), weight.y, bias.y),
                     fmaf(__fmul_rn(x.z - mean, scale), weight.z, bias.z),
                     fmaf(__fmul_rn(x.w - mean, scale), weight.w, bias.w));
}

// Four channels as input of a product; the rows `begin` to `end` - 1 also as they are.
__device__ __forceinline__ void keep(const float4& x, int group, __half* input, float* residual,
                                     int begin, int end) {
  const int at = 4 * (group * 32 + (threadIdx.x & 31));
  *reinterpret_cast<uint2*>(input + at) = make_uint2(pack_halves(x.x, x.y), pack_halves(x.z, x.w));
  if (at >= begin && at < end) *reinterpret_cast<float4*>(residual + at - begin) = x;
}

__device__ __forceinline__ Product operator+(const Product& a, const Product& b) {
  return {a.low0 + b.low0, a.low1 + b.low1, a.high0 + b.high0, a.high1 + b.high1};
}

// A warp's weights in registers, a block after the other.
template <int COUNT>
struct Weights {
  uint4 blocks[COUNT];

  __device__ __forceinline__ explicit Weights(const uint4* from) {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) blocks[i] = from[i * 32];
  }
};

// An eighth of the width, for a warp of a team.
__device__ __forceinline__ Weights<4> inward_weights(const uint4* weights, int warp) {
  return Weights<4>(weights + warp * 4 * 32 + (threadIdx.x & 31));
}

// 16 rows by the whole width, an eighth for every warp of a team; then lanes 0 to 15 (and again 16
// to 31) of its warp w hold the 16 rows of slot w. `barrier` is the team's, and is used once.
template <typename Barrier>
__device__ __forceinline__ float product(const Weights<4>& weights,
                                         const __half (*input)[INPUT_PITCH], float* sums, int warp,
                                         Barrier barrier) {
  const int lane = threadIdx.x & 31, group = lane >> 2, quad = lane & 3;
  const uint4* inputs = reinterpret_cast<const uint4*>(&input[group][warp * 64 + quad * 16]);
  const uint4 first = inputs[0], second = inputs[1];
  Product sum = {}, more = {};
  multiply(sum, weights.blocks[0], first.x, first.y);
  multiply(more, weights.blocks[2], second.x, second.y);
  multiply(sum, weights.blocks[1], first.z, first.w);
  multiply(more, weights.blocks[3], second.z, second.w);
  sum = sum + more;
  float* to = sums + warp * WARP_SUMS + 2 * quad * SUM_PITCH + group;
  to[0] = sum.low0, to[8] = sum.high0;
  to[SUM_PITCH] = sum.low1, to[SUM_PITCH + 8] = sum.high1;
  barrier();
  const float* from = sums + (lane >> 4) * 4 * WARP_SUMS + warp * SUM_PITCH + (lane & 15);
  const float half = (from[0] + from[WARP_SUMS]) + (from[2 * WARP_SUMS] + from[3 * WARP_SUMS]);
  return half + __shfl_xor_sync(ALL, half, 16);
}

// 16 rows by the results of two heads: `first` and `second` are the lane's eight halves
// of each.
__device__ __forceinline__ Product heads_product(const Weights<2>& first_weights,
                                                 const uint4& first,
                                                 const Weights<2>& second_weights,
                                                 const uint4& second) {
  Product sum = {};
  multiply(sum, first_weights.blocks[0], first.x, first.y);
  multiply(sum, first_weights.blocks[1], first.z, first.w);
  multiply(sum, second_weights.blocks[0], second.x, second.y);
  multiply(sum, second_weights.blocks[1], second.z, second.w);
  return sum;
}

// 64 of the inputs of 16 rows, four blocks from `at` on.
__device__ __forceinline__ Product multiply64(const Weights<8>& weights, int at,
                                              const __half* inputs) {
  const uint4 first = reinterpret_cast<const uint4*>(inputs)[0];
  const uint4 second = reinterpret_cast<const uint4*>(inputs)[1];
  Product sum = {};
  multiply(sum, weights.blocks[at], first.x, first.y);
  multiply(sum, weights.blocks[at + 1], first.z, first.w);
  multiply(sum, weights.blocks[at + 2], second.x, second.y);
  multiply(sum, weights.blocks[at + 3], second.z, second.w);
  return sum;
}

// 16 rows by twice 128 hidden units; the pointers are to the lane's first 16 of the first 64.
__device__ __forceinline__ Product units_product(const Weights<8>& first_weights,
                                                 const __half* first,
                                                 const Weights<8>& second_weights,
                                                 const __half* second) {
  return (multiply64(first_weights, 0, first) + multiply64(first_weights, 4, first + 64)) +
         (multiply64(second_weights, 0, second) + multiply64(second_weights, 4, second + 64));
}

// What the clusters add to a row, in one fixed order.
__device__ __forceinline__ float add_clusters(const float (&sums)[CLUSTERS]) {
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// Attention of one query over the keys of one rank, in a warp; lane q of a quad has 8 channels.
struct Attending {
  float query[8], out[8], most, total;

  __device__ __forceinline__ explicit Attending(const float* from) : out{}, most(-1e30f), total(0) {
    const float scale = 0.17677669529663687f * 1.4426950408889634f;  // 1/sqrt(32), for exp2
    const float4* pair = reinterpret_cast<const float4*>(from) + (threadIdx.x & 3) * 2;
    const float4 a = pair[0], b = pair[1];
    query[0] = a.x * scale, query[1] = a.y * scale, query[2] = a.z * scale, query[3] = a.w * scale;
    query[4] = b.x * scale, query[5] = b.y * scale, query[6] = b.z * scale, query[7] = b.w * scale;
  }

  // ROUNDS more keys a quad; those behind place `last` do not count.
  __device__ __forceinline__ void add(int place, int last, const uint4 (&key)[ROUNDS],
                                      const uint4 (&value)[ROUNDS]) {
    float score[ROUNDS], next = most;
#pragma unroll
    for (int i = 0; i < ROUNDS; ++i) {
      score[i] = quad_dot(query, key[i]);
      if (place + i * KEYS > last) score[i] = -1e30f;
      next = fmaxf(next, score[i]);
    }
    const float shrink = exp2f(most - next);
    total = __fmul_rn(total, shrink);
#pragma unroll
    for (int j = 0; j < 8; ++j) out[j] = __fmul_rn(out[j], shrink);
#pragma unroll
    for (int i = 0; i < ROUNDS; ++i) {
      const float weight = place + i * KEYS <= last ? exp2f(score[i] - next) : 0.0f;
      total += weight;
      add_weighted(out, weight, value[i]);
    }
    most = next;
  }

  // Adds up the eight quads: `out` of one channel is left for each lane, `total` and `most` for
  // all.
  __device__ __forceinline__ float finish(int& channel) {
    const int lane = threadIdx.x & 31;
    float largest = most;
#pragma unroll
    for (int step = 4; step < 32; step <<= 1)
      largest = fmaxf(largest, __shfl_xor_sync(ALL, largest, step));
    const float shrink = exp2f(most - largest);
    total = __fmul_rn(total, shrink);
#pragma unroll
    for (int step = 4; step < 32; step <<= 1) total += __shfl_xor_sync(ALL, total, step);
#pragma unroll
    for (int j = 0; j < 8; ++j) out[j] = __fmul_rn(out[j], shrink);
    channel = (lane & 3) * 8;
#pragma unroll
    for (int step = 16, width = 4; width; step >>= 1, width >>= 1) {
      const bool upper = lane & step;
#pragma unroll
      for (int j = 0; j < width; ++j) {
        const float give = upper ? out[j] : out[j + width];
        const float stay = upper ? out[j + width] : out[j];
        out[j] = stay + __shfl_xor_sync(ALL, give, step);
      }
      if (upper) channel += width;
    }
    most = largest;
    return out[0];
  }
};

// `keys` and `values`: this lane's 16 bytes of the row at `place`; rows from `end` on are not read.
__device__ __forceinline__ void load_keys(const uint4* keys, const uint4* values, int place,
                                          int end, uint4 (&key)[ROUNDS], uint4 (&value)[ROUNDS]) {
  constexpr int ROW = HEAD * sizeof(__half) / sizeof(uint4);
#pragma unroll
  for (int i = 0; i < ROUNDS; ++i) {
    key[i] = value[i] = make_uint4(0, 0, 0, 0);
    if (place + i * KEYS < end) {
      key[i] = __ldcg(keys + i * KEYS * ROW);
      value[i] = __ldcg(values + i * KEYS * ROW);
    }
  }
}

// A lane's channel of the head's result from the shares of all ranks, each with its largest score
// and the sum of its weights.
__device__ __forceinline__ __half combine(const float (*shares)[HEAD], const float2* scores) {
  float2 score[RANKS];
  float share[RANKS], most = -1e30f, total = 0, out = 0;
#pragma unroll
  for (int from = 0; from < RANKS; ++from) {
    share[from] = shares[from][threadIdx.x & 31];
    score[from] = scores[from];
    most = fmaxf(most, score[from].x);
  }
#pragma unroll
  for (int from = 0; from < RANKS; ++from) {
    const float shrink = exp2f(score[from].x - most);
    total = fmaf(score[from].y, shrink, total);
    out = fmaf(share[from], shrink, out);
  }
  return __float2half_rn(out / total);
}

}  // namespace t2s
