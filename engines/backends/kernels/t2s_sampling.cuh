// Drawing a token: the order of operations and the counter-based noise of engines/sampling.py.
#pragma once

#include "t2s_layout.cuh"

namespace t2s {

constexpr int MINIMUM_TOKENS = 11;
constexpr int OWN = (VOCABULARY + THREADS - 1) / THREADS;  // logits of a thread
constexpr int LANE_KEYS = (VOCABULARY + 31) / 32;          // logits of a lane, warp by warp
constexpr int SORTED = 2048;

struct Scratch {  // shared memory of one draw
  uint64_t sorted[SORTED];
  uint64_t best[WARPS];
  uint32_t order[LANE_KEYS * 32];
  int counts[2][WARPS];
  int kept;
  int candidates;
  uint32_t candidate[LANE_KEYS * 32];
  float scores[LOGITS];  // in: the logits
};

struct Speaker {  // what a block that draws knows of its slot
  uint32_t heard[HEARD_WORDS];
  Slot slot;
};

// Among the first 256 threads of a block.
__device__ __forceinline__ void draw_barrier() {
  asm volatile("bar.sync 1, 256;" ::: "memory");
}

// Philox 4x32-10 (Salmon et al., SC 2011).
__device__ __forceinline__ uint4 philox(uint32_t key0, uint32_t key1, uint4 counter) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
    counter = make_uint4(high1 ^ counter.y ^ key0, low1, high0 ^ counter.w ^ key1, low0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

__device__ __forceinline__ uint32_t noise_word(uint32_t low, uint32_t high, int step, int token) {
  const uint4 words = philox(low, high, make_uint4(token >> 2, step, 0, 0));
  const uint32_t pair =
      token & 2 ? (token & 1 ? words.w : words.z) : (token & 1 ? words.y : words.x);
  return pair;
}

__device__ __forceinline__ float exponential(uint32_t word) {
  // The logarithm in double, as numpy computes it: its rounding decides ties.
  return static_cast<float>(-log((static_cast<double>(word >> 9) + 0.5) * 0x1p-23));
}

// Unsigned numbers in the order of the floats.
__device__ __forceinline__ uint32_t ordered(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);  // -0 becomes 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float unordered(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

// Larger is better; among equals the first token.
__device__ __forceinline__ uint64_t ranked(uint32_t key, int token) {
  return static_cast<uint64_t>(key) << 32 | ~static_cast<uint32_t>(token);
}

__device__ __forceinline__ uint64_t block_max(Scratch& s, uint64_t key) {
#pragma unroll
  for (int step = 16; step; step >>= 1) {
    const uint64_t other = __shfl_xor_sync(ALL, key, step);
    key = other > key ? other : key;
  }
  if ((threadIdx.x & 31) == 0) s.best[threadIdx.x >> 5] = key;
  draw_barrier();
#pragma unroll
  for (int warp = 0; warp < WARPS; ++warp) key = s.best[warp] > key ? s.best[warp] : key;
  draw_barrier();
  return key;
}

// How many of the best-ranked tokens stay below `top_p`, at least one; leaves them sorted.
__device__ inline int sort_and_cut(Scratch& s, const float* own, int width, float top_p) {
  const int thread = threadIdx.x;
  for (int i = thread; i < SORTED; i += THREADS) s.sorted[i] = 0;
  draw_barrier();
#pragma unroll
  for (int j = 0; j < OWN; ++j) {
    const int token = thread + j * THREADS;
    if (token < width) s.sorted[token] = ranked(ordered(own[j]), token);
  }
  for (int run = 2; run <= SORTED; run <<= 1)
    for (int gap = run >> 1; gap; gap >>= 1) {
      draw_barrier();
      for (int i = thread; i < SORTED / 2; i += THREADS) {
        const int low = (i & ~(gap - 1)) << 1 | (i & (gap - 1)), high = low | gap;
        const uint64_t a = s.sorted[low], b = s.sorted[high];
        if ((a < b) == ((low & run) == 0)) s.sorted[low] = b, s.sorted[high] = a;
      }
    }
  draw_barrier();
  const float largest = unordered(s.sorted[0] >> 32);
  float sum = 0;
  for (int i = thread; i < width; i += THREADS) sum += expf(unordered(s.sorted[i] >> 32) - largest);
  sum = warp_sum(sum);
  if ((thread & 31) == 0) s.best[thread >> 5] = __float_as_uint(sum);
  draw_barrier();
  if (thread == 0) {  // one after the other, as the original adds
    float total = 0, share = 0;
    for (int warp = 0; warp < WARPS; ++warp) total += __uint_as_float(s.best[warp]);
    int kept = 0;
    for (; kept < width; ++kept) {
      share += expf(unordered(s.sorted[kept] >> 32) - largest) / total;
      if (kept && share > top_p) break;
    }
    s.kept = kept;
  }
  draw_barrier();
  return s.kept;
}

// The k-th largest key of s.order: three bits a round, one candidate a warp.
__device__ inline uint32_t kth_largest(Scratch& s, int k) {
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  uint32_t keys[LANE_KEYS];
#pragma unroll
  for (int j = 0; j < LANE_KEYS; ++j) keys[j] = s.order[j * 32 + lane];
  uint32_t found = 0;
  for (int shift = 30, round = 0; shift >= 0; shift -= 3, ++round) {
    const bool candidate = warp < (round ? 7 : 3);
    const uint32_t least = found + (static_cast<uint32_t>(warp + 1) << shift);
    int count = 0;
#pragma unroll
    for (int j = 0; j < LANE_KEYS; ++j) count += keys[j] >= least;
#if __CUDA_ARCH__ >= 800
    count = __reduce_add_sync(ALL, count);
#else
    for (int step = 16; step; step >>= 1) count += __shfl_xor_sync(ALL, count, step);
#endif
    if (lane == 0) s.counts[round & 1][warp] = candidate ? count : 0;
    draw_barrier();
    uint32_t digit = 0;
#pragma unroll
    for (int other = 0; other < WARPS; ++other) digit += s.counts[round & 1][other] >= k;
    found += digit << shift;
  }
  return found;
}

// One token for a speaker from the logits in s.scores; the first 256 threads take part.
// Returns the token; `ended` says that the sentence ends and the token is no part of it.
__device__ inline int draw(Scratch& s, const Speaker& speaker, bool& ended) {
  const int thread = threadIdx.x;
  const int step = speaker.slot.count, width = step < MINIMUM_TOKENS ? END : VOCABULARY;
  const float penalty = speaker.slot.penalty;
  float own[OWN];
  uint64_t best = 0;
  if (thread == 0) s.candidates = 0;
#pragma unroll
  for (int j = 0; j < OWN; ++j) {
    const int token = thread + j * THREADS;
    if (token >= width) continue;
    float score = s.scores[token];
    if (speaker.heard[token >> 5] >> (token & 31) & 1)
      score = score < 0 ? __fmul_rn(score, penalty) : __fdiv_rn(score, penalty);
    own[j] = score;
    const uint64_t key = ranked(ordered(score), token);
    best = key > best ? key : best;
  }
  best = block_max(s, best);
  const int likeliest = ~static_cast<uint32_t>(best);
  uint64_t cut = 0;
  if (speaker.slot.top_p < 1) cut = s.sorted[sort_and_cut(s, own, width, speaker.slot.top_p) - 1];
#pragma unroll
  for (int j = 0; j < OWN; ++j) {
    const int token = thread + j * THREADS;
    uint32_t key = 0;
    if (token < width) {
      if (ranked(ordered(own[j]), token) < cut) own[j] = -INFINITY;
      if (speaker.slot.temperature != 1) own[j] = __fdiv_rn(own[j], speaker.slot.temperature);
      key = ordered(own[j]);
    }
    if (token < LANE_KEYS * 32) s.order[token] = key;
  }
  draw_barrier();
  const uint32_t threshold = speaker.slot.top_k < width ? kth_largest(s, speaker.slot.top_k) : 0;
  const float largest = __fdiv_rn(unordered(best >> 32), speaker.slot.temperature);
  // Those that may be drawn, close together: in any order, since the best of them is.
#pragma unroll
  for (int j = 0; j < OWN; ++j) {
    const int token = thread + j * THREADS;
    if (token < width && ordered(own[j]) >= threshold)
      s.candidate[atomicAdd(&s.candidates, 1)] = token;
  }
  draw_barrier();
  best = 0;
  for (int i = thread; i < s.candidates; i += THREADS) {
    const int token = s.candidate[i];
    float weight = expf(unordered(s.order[token]) - largest);
    if (!speaker.slot.greedy)
      weight = __fdiv_rn(weight, exponential(noise_word(speaker.slot.seed_low,
                                                        speaker.slot.seed_high, step, token)));
    const uint64_t key = ranked(__float_as_uint(weight), token);
    best = key > best ? key : best;
  }
  const int token = ~static_cast<uint32_t>(block_max(s, best));
  ended = width == VOCABULARY && (token == END || likeliest == END);
  return token;
}

// Loads what `draw` needs of a slot, all of them; a barrier must follow.
__device__ inline void load_slot(Speaker& s, const Slot* slot, const uint32_t* heard) {
  if (threadIdx.x == 0) s.slot = *slot;
  if (threadIdx.x < HEARD_WORDS) s.heard[threadIdx.x] = heard[threadIdx.x];
}

// Writes a drawn token down, thread 0. `length`: places of the cache that are filled now.
__device__ inline void record(Speaker& s, Slot* slot, uint32_t* heard, int32_t* tokens, int token,
                              bool ended, int length, int capacity) {
  Slot& mine = s.slot;
  mine.length = length;
  if (ended) {
    mine.state = ENDED;
  } else {
    tokens[mine.count] = token;
    s.heard[token >> 5] |= 1u << (token & 31);
    heard[token >> 5] = s.heard[token >> 5];
    mine.token = token;
    mine.position += 1;
    mine.count += 1;
    mine.state = mine.count >= mine.limit ? CUT : length >= capacity ? FULL : RUNNING;
  }
  slot->state = mine.state;
  slot->token = mine.token;
  slot->position = mine.position;
  slot->length = mine.length;
  slot->count = mine.count;
}

}  // namespace t2s
