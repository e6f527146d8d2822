// One decode step as a chain of kernels, for every GPU: five a layer, the logits, the draw.
//
// The same parts, the same order of every sum and so the same tokens as the kernel for clusters;
// what the parts tell each other goes through global memory, and the launches are the barriers.
#include "t2s_arithmetic.cuh"
#include "t2s_sampling.cuh"

namespace t2s {

// What passes from kernel to kernel; one for a set of slots.
struct Workspace {
  float stream[2][SLOTS][WIDTH];  // before the second norm of a layer, before the first
  float query[SLOTS][WIDTH];
  __half heads[SLOTS][WIDTH];
  __half units[SLOTS][HIDDEN];
  float logits[SLOTS][LOGITS];
};
static_assert(sizeof(Workspace) == 123392 && offsetof(Workspace, logits) == 90112,
              "the host knows where the logits are");

struct BlockBarrier {
  __device__ __forceinline__ void operator()() const { __syncthreads(); }
};

__device__ __forceinline__ bool runs(const Slot* slots, int slot, int slot_count) {
  return slot < slot_count && slots[slot].state == RUNNING;
}

__device__ __forceinline__ void clear(__half (*input)[INPUT_PITCH], bool mine) {
  if (mine) return;
  for (int i = threadIdx.x & 31; i < INPUT_PITCH; i += 32) input[threadIdx.x >> 5][i] = __half();
}

// The input of a layer's first product in shared memory, and the residual of some rows.
__device__ __forceinline__ void layer_input(bool first, const float* stream, const float* norm,
                                            const Slot& slot, const float* embedding,
                                            const float* positions, __half* input, float* residual,
                                            int begin, int end) {
  Row x;
  if (first) {
    x.embed(embedding + slot.token * WIDTH, positions + slot.position * WIDTH);
  } else {
    x.load(stream);
    const float2 statistics = x.statistics();
#pragma unroll
    for (int i = 0; i < 4; ++i) x.x[i] = normalised(x.x[i], statistics, norm, i);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) keep(x.x[i], i, input, residual, begin, end);
}

__device__ __forceinline__ void feed_input(const float* stream, const float* norm, __half* input,
                                           float* residual, int begin, int end) {
  Row x;
  x.load(stream);
  const float2 statistics = x.statistics();
#pragma unroll
  for (int i = 0; i < 4; ++i)
    keep(normalised(x.x[i], statistics, norm, i), i, input, residual, begin, end);
}

// Rows of a projection back to the width: the inputs of two heads for every warp, added in order.
struct Gathering {
  float sums[CLUSTERS][SLOTS][16];

  __device__ __forceinline__ void put(int cluster, const Product& product) {
    const int lane = threadIdx.x & 31, row = lane >> 2, slot = 2 * (lane & 3);
    sums[cluster][slot][row] = product.low0, sums[cluster][slot + 1][row] = product.low1;
    sums[cluster][slot][row + 8] = product.high0, sums[cluster][slot + 1][row + 8] = product.high1;
  }

  __device__ __forceinline__ float row(int slot, int row) const {
    float found[CLUSTERS];
#pragma unroll
    for (int cluster = 0; cluster < CLUSTERS; ++cluster) found[cluster] = sums[cluster][slot][row];
    return add_clusters(found);
  }
};

}  // namespace t2s

using namespace t2s;

// q of all slots, and their new key and value. 128 blocks.
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_qkv(const uint4* weights, const float* norm, const float* biases, const float* embedding,
            const float* positions, __half* keys, __half* values, const Slot* slots,
            Workspace* work, int layer, int slot_count, int capacity) {
  __shared__ __align__(16) __half input[SLOTS][INPUT_PITCH];
  __shared__ float sums[WARPS * WARP_SUMS];
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, part = blockIdx.x;
  const bool mine = runs(slots, warp, slot_count);
  clear(input, mine);
  if (mine)
    layer_input(layer == 0, work->stream[0][warp], norm, slots[warp], embedding, positions,
                input[warp], nullptr, 0, 0);
  __syncthreads();
  const float value = product(inward_weights(weights + part * (ATTENTION_BYTES / 16), warp), input,
                              sums, warp, BlockBarrier()) +
                      biases[part * BIAS_FLOATS + ROWS + (lane & 15)];
  if (!mine || lane >= 3 * PIECE) return;
  const int head = part / RANKS, channel = part % RANKS * PIECE + lane % PIECE;
  const size_t row = (static_cast<size_t>(layer * slot_count + warp) * HEADS + head) * capacity +
                     slots[warp].length;
  if (lane < PIECE)
    work->query[warp][head * HEAD + channel] = value;
  else
    (lane < 2 * PIECE ? keys : values)[row * HEAD + channel] = __float2half_rn(value);
}

// Attention; a block for every head and slot, its warps are the ranks.
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_attend(const __half* keys, const __half* values, const Slot* slots, Workspace* work,
               int layer, int slot_count, int capacity) {
  __shared__ float shares[RANKS][HEAD];
  __shared__ float2 scores[RANKS];
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, head = blockIdx.x, slot = blockIdx.y;
  if (!runs(slots, slot, slot_count)) return;
  const size_t row = (static_cast<size_t>(layer * slot_count + slot) * HEADS + head) * capacity;
  const int length = slots[slot].length;
  Attending attending(work->query[slot] + head * HEAD);
  for (int place = warp * QUADS + (lane >> 2), first = 0; first <= length;
       place += ROUNDS * KEYS, first += ROUNDS * KEYS) {
    uint4 key[ROUNDS], value[ROUNDS];
    const size_t at = (row + place) * HEAD + (lane & 3) * 8;
    load_keys(reinterpret_cast<const uint4*>(keys + at),
              reinterpret_cast<const uint4*>(values + at), place, length + 1, key, value);
    attending.add(place, length, key, value);
  }
  int channel;
  const float share = attending.finish(channel);
  shares[warp][channel] = share;
  if (lane == 0) scores[warp] = make_float2(attending.most, attending.total);
  __syncthreads();
  if (warp == 0) work->heads[slot][head * HEAD + lane] = combine(shares, scores);
}

// Out-projection, bias and residual. 32 blocks of 16 rows.
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_out(const uint4* weights, const float* norm, const float* biases, const float* embedding,
            const float* positions, const Slot* slots, Workspace* work, int layer, int slot_count) {
  __shared__ __align__(16) __half input[SLOTS][INPUT_PITCH];
  __shared__ __align__(16) float residual[SLOTS][16];
  __shared__ Gathering gathering;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int rank = blockIdx.x / (ROWS / 16), tile = blockIdx.x % (ROWS / 16);
  if (runs(slots, warp, slot_count))
    layer_input(layer == 0, work->stream[0][warp], norm, slots[warp], embedding, positions,
                input[warp], residual[warp], blockIdx.x * 16, blockIdx.x * 16 + 16);
  const uint4* block = weights + (2 * warp * RANKS + rank) * (ATTENTION_BYTES / 16) +
                       (WIDTH / 16 + tile * (HEAD / 16)) * 32 + lane;
  const uint4* in = reinterpret_cast<const uint4*>(work->heads[lane >> 2]) + warp * 8 + (lane & 3);
  gathering.put(warp, heads_product(Weights<2>(block), in[0],
                                    Weights<2>(block + RANKS * (ATTENTION_BYTES / 16)), in[4]));
  __syncthreads();
  if (threadIdx.x >= 16 * SLOTS) return;
  const int slot = threadIdx.x / 16, row = threadIdx.x % 16, at = blockIdx.x * 16 + row;
  work->stream[1][slot][at] = gathering.row(slot, row) +
                              (biases[rank * BIAS_FLOATS + tile * 16 + row] + residual[slot][row]);
}

// Hidden units. 128 blocks.
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_units(const uint4* weights, const float* norm, const float* biases, const Slot* slots,
              Workspace* work, int slot_count) {
  __shared__ __align__(16) __half input[SLOTS][INPUT_PITCH];
  __shared__ float sums[WARPS * WARP_SUMS];
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, part = blockIdx.x;
  const bool mine = runs(slots, warp, slot_count);
  clear(input, mine);
  if (mine) {
    feed_input(work->stream[1][warp], norm, input[warp], nullptr, 0, 0);
  }
  __syncthreads();
  const float value = fmaxf(product(inward_weights(weights + part * (FEED_BYTES / 16), warp), input,
                                    sums, warp, BlockBarrier()) +
                                biases[part * BIAS_FLOATS + ROWS + (lane & 15)],
                            0.0f);
  if (mine && lane < 16) work->units[warp][part * 16 + lane] = __float2half_rn(value);
}

// Second product of the hidden units, bias and residual. 32 blocks of 16 rows.
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_feed(const uint4* weights, const float* norm, const float* biases, const Slot* slots,
             Workspace* work, int slot_count) {
  __shared__ __align__(16) __half input[SLOTS][INPUT_PITCH];
  __shared__ __align__(16) float residual[SLOTS][16];
  __shared__ Gathering gathering;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int rank = blockIdx.x / (ROWS / 16), tile = blockIdx.x % (ROWS / 16);
  if (runs(slots, warp, slot_count)) {
    feed_input(work->stream[1][warp], norm, input[warp], residual[warp], blockIdx.x * 16,
               blockIdx.x * 16 + 16);
  }
  const uint4* block = weights + (2 * warp * RANKS + rank) * (FEED_BYTES / 16) +
                       (WIDTH / 16 + tile * (UNITS / 16)) * 32 + lane;
  const __half* in = &work->units[lane >> 2][2 * warp * UNITS + (lane & 3) * 16];
  gathering.put(warp, units_product(Weights<8>(block), in,
                                    Weights<8>(block + RANKS * (FEED_BYTES / 16)), in + UNITS));
  __syncthreads();
  if (threadIdx.x >= 16 * SLOTS) return;
  const int slot = threadIdx.x / 16, row = threadIdx.x % 16, at = blockIdx.x * 16 + row;
  work->stream[0][slot][at] = gathering.row(slot, row) +
                              (biases[rank * BIAS_FLOATS + tile * 16 + row] + residual[slot][row]);
}

// 65 blocks of 16 logits.
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_logits(const uint4* weights, const float* norm, const Slot* slots, Workspace* work,
               int slot_count) {
  __shared__ __align__(16) __half input[SLOTS][INPUT_PITCH];
  __shared__ float sums[WARPS * WARP_SUMS];
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const bool mine = runs(slots, warp, slot_count);
  clear(input, mine);
  if (mine) {
    feed_input(work->stream[0][warp], norm, input[warp], nullptr, 0, 0);
  }
  __syncthreads();
  const float value = product(inward_weights(weights + blockIdx.x * (ATTENTION_BYTES / 16), warp),
                              input, sums, warp, BlockBarrier());
  if (mine && lane < 16) work->logits[warp][blockIdx.x * 16 + lane] = value;
}

// Draws a token for each running slot of a grid. `logits` has `pitch` numbers a slot. `filled`: how
// many places of the cache the step has filled, 1 after a decode step and 0 after a prefill.
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_draw(const float* logits, Slot* slots, uint32_t* heard, int32_t* tokens, int first_slot,
             int pitch, int filled, int capacity) {
  __shared__ Scratch scratch;
  __shared__ Speaker speaker;
  const int slot = first_slot + blockIdx.x;
  if (slots[slot].state != RUNNING) return;
  load_slot(speaker, slots + slot, heard + slot * HEARD_WORDS);
  for (int i = threadIdx.x; i < VOCABULARY; i += THREADS)
    scratch.scores[i] = logits[static_cast<size_t>(blockIdx.x) * pitch + i];
  __syncthreads();
  bool ended;
  const int token = draw(scratch, speaker, ended);
  __syncthreads();
  if (threadIdx.x == 0)
    record(speaker, slots + slot, heard + slot * HEARD_WORDS, tokens + slot * TOKENS, token, ended,
           speaker.slot.length + filled, capacity);
}

// Puts the keys and values of a prefill, float32 (layers, heads, length, 32) with any room between
// the heads, into a slot. Grid (heads, layers).
extern "C" __global__ void __launch_bounds__(THREADS)
    t2s_place(const float* from_keys, const float* from_values, __half* keys, __half* values,
              int length, int from_capacity, int slot, int slot_count, int capacity) {
  const int head = blockIdx.x, layer = blockIdx.y;
  const size_t from = (static_cast<size_t>(layer) * HEADS + head) * from_capacity * HEAD;
  const size_t to =
      (static_cast<size_t>(layer * slot_count + slot) * HEADS + head) * capacity * HEAD;
  for (int i = threadIdx.x; i < length * HEAD; i += THREADS) {
    keys[to + i] = __float2half_rn(from_keys[from + i]);
    values[to + i] = __float2half_rn(from_values[from + i]);
  }
}
