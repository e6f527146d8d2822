// Many decode steps in one launch, for GPUs with thread-block clusters (sm_90 and later).
//
// 8 clusters of 8 blocks stay on the GPU for all steps. A cluster owns two attention heads and 256
// hidden units, one team of warps of each block for each half; what its blocks tell each other goes
// through distributed shared memory, and twice a layer all clusters exchange partial sums of the
// residual stream through L2. Each word of that exchange carries the number of its phase beside its
// value, so a reader waits for the value itself and no barrier over the grid is needed. Weights
// arrive by bulk copies as soon as those of the layer before are used up, whatever the blocks are
// waiting for. A warp works for one slot alone, so what a slot computes does not depend on its
// neighbours.
#include "t2s_arithmetic.cuh"
#include "t2s_messages.cuh"
#include "t2s_sampling.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#error "clusters need sm_90"
#endif

namespace t2s {

constexpr int UNIT_PITCH = UNITS + 8;  // halves; keeps banks apart
// Threads that ask for weights, each of them for one kind; the warps of the last slots.
constexpr int QKV_LOADER = TEAMS * THREADS - 32, UNITS_LOADER = QKV_LOADER - 32;
constexpr int OUT_LOADER = UNITS_LOADER - 32, BACK_LOADER = OUT_LOADER - 32;

constexpr int INPUT_BYTES = WIDTH / 16 * BLOCK_BYTES;  // 16 rows by the width
constexpr int OUT_BYTES = ATTENTION_BYTES - INPUT_BYTES;
constexpr int BACK_BYTES = FEED_BYTES - INPUT_BYTES;

struct Inward {  // products with 16 rows, one a team, and what comes before them
  uint4 weights[TEAMS][INPUT_BYTES / 16];
  float norm[NORM_FLOATS];
  float bias[TEAMS][BIAS_FLOATS];
};

struct Messages {                        // what blocks and warps tell each other within a step
  float stream[SLOTS][WIDTH];            // the residual stream before its norm
  __half input[SLOTS][INPUT_PITCH];      // after the norm, what the products read
  float sums[TEAMS][WARPS * WARP_SUMS];  // partial results of eight warps
  float qkv[TEAMS][SLOTS][3 * HEAD];
  float mixed[TEAMS][SLOTS][RANKS][HEAD];  // attention over each rank's keys
  float2 scores[TEAMS][SLOTS][RANKS];      // its largest score, the sum of its weights
  __half head[TEAMS][SLOTS][HEAD];
  __half units[TEAMS][SLOTS][UNIT_PITCH];
};

struct Source {  // of weights: what to ask for next, how often
  int layer, left;
};

struct alignas(16) Shared {
  Inward qkv, units;
  uint4 out[TEAMS][OUT_BYTES / 16];
  uint4 back[TEAMS][BACK_BYTES / 16];
  union {
    Messages m;
    Scratch drawing;  // between the last logits of a step and its tokens
  };
  float residual[SLOTS][ROWS];
  Speaker speaker;
  int states[SLOTS];
  uint64_t qkv_weights, units_weights, out_weights, back_weights;
  uint64_t stream_full, qkv_full, mixed_full, units_full;
};
static_assert(sizeof(Shared) == 182560, "the host asks for so many bytes");

// The words that all clusters share; zeroed once, before the first launch.
struct Exchange {
  uint64_t sums[2][SLOTS][CLUSTERS][WIDTH];
  uint64_t logits[SLOTS][LOGITS];
  uint64_t tokens[SLOTS];
  uint32_t phase;  // the last one that was used
};
static_assert(sizeof(Exchange) == 590920, "the host makes room for so many bytes");

struct Arguments {
  const uint8_t* attention;      // (layers + 1, parts, ATTENTION_BYTES); the last layer: the logits
  const uint8_t* feed;           // (layers, parts, FEED_BYTES)
  const float* attention_norms;  // (layers + 1, 1024), of the layer before; the first is not used
  const float* attention_biases;  // (layers + 1, parts, 80)
  const float* feed_norms;
  const float* feed_biases;
  const float* embedding;  // (1025, 512)
  const float* positions;  // (4000, 512)
  __half* keys;            // (layers, slots, 16, capacity, 32)
  __half* values;
  Slot* slots;
  uint32_t* heard;  // (slots, 64)
  int32_t* tokens;  // (slots, 2048)
  Exchange* exchange;
  int layers, slot_count, capacity, steps;
};

struct TeamBarrier {
  const int team;
  __device__ __forceinline__ void operator()() const {
    if (team == 0)
      asm volatile("bar.sync 1, %0;" ::"n"(THREADS) : "memory");
    else
      asm volatile("bar.sync 2, %0;" ::"n"(THREADS) : "memory");
  }
};

class Decoder {
 public:
  __device__ Decoder(const Arguments& arguments, Shared& shared)
      : a(arguments),
        s(shared),
        thread(threadIdx.x),
        lane(threadIdx.x & 31),
        slot(threadIdx.x >> 5 & (SLOTS - 1)),
        team(threadIdx.x / THREADS),
        cluster(blockIdx.x / RANKS),
        rank(blockIdx.x % RANKS) {}

  __device__ __forceinline__ void run() {
    begin();
    for (int step = 0; step < a.steps && mask; ++step) {
      live = __popc(mask);
      layers();
      tokens();
    }
    finish();
  }

 private:
  const Arguments a;
  Shared& s;
  const int thread, lane, slot, team, cluster, rank;  // the slot is this warp's
  uint32_t phase, mask = 0;
  int live = 0, token = 0, position = 0, length = 0;
  bool mine = false;  // the warp's slot runs
  uint32_t streams = 0;
  int qkv_used = 0, feed_used = 0;  // products that were waited for
  Source source;                    // of the weights that this thread asks for
  size_t cache_at, cache_layer;     // of the slot and head: where, and from layer to layer

  // The slot for which this block draws.
  __device__ __forceinline__ int speaker() const { return CLUSTERS - 1 - cluster; }
  __device__ __forceinline__ bool draws() const {
    return rank == RANKS - 1 && speaker() < a.slot_count;
  }
  __device__ __forceinline__ int part(int of) const {
    return (cluster * TEAMS + of) * RANKS + rank;
  }
  __device__ __forceinline__ bool projects() const { return thread < ROWS / 16 * 32; }

  __device__ __forceinline__ void begin() {
    const size_t head = static_cast<size_t>(slot) * HEADS + cluster * TEAMS + team;
    cache_at = head * a.capacity * HEAD;
    cache_layer = static_cast<size_t>(a.slot_count) * HEADS * a.capacity * HEAD;
    source = {0, a.steps * (a.layers + (thread == QKV_LOADER))};
    if (thread == 0) {
      for (uint64_t* barrier = &s.qkv_weights; barrier <= &s.units_full; ++barrier)
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(address(barrier)));
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    phase = *static_cast<volatile uint32_t*>(&a.exchange->phase);
    if (slot < a.slot_count) {
      const Slot& state = a.slots[slot];
      token = state.token, position = state.position, length = state.length;
      if (lane == 0) s.states[slot] = state.state;
    } else if (lane == 0) {
      s.states[slot] = EMPTY;
    }
    if (draws()) load_slot(s.speaker, a.slots + speaker(), a.heard + speaker() * HEARD_WORDS);
    cluster_barrier();
    read_states();
    if (mask == 0) return;
    if (thread == QKV_LOADER) ask_qkv();
    if (thread == UNITS_LOADER) ask_units();
    if (thread == OUT_LOADER) ask_out();
    if (thread == BACK_LOADER) ask_back();
  }

  __device__ __forceinline__ void read_states() {
    mask = 0;
#pragma unroll
    for (int other = 0; other < SLOTS; ++other) mask |= (s.states[other] == RUNNING) << other;
    mine = mask >> slot & 1;
  }

  // No copy and no message may be on its way to a block that has left.
  __device__ __forceinline__ void finish() {
    const int asked = a.steps * (a.layers + (thread == QKV_LOADER)) - max(source.left, 0);
    if (thread == QKV_LOADER && asked > qkv_used) wait(s.qkv_weights, qkv_used & 1);
    if (thread == UNITS_LOADER && asked > feed_used) wait(s.units_weights, feed_used & 1);
    if (thread == OUT_LOADER && asked > feed_used) wait(s.out_weights, feed_used & 1);
    if (thread == BACK_LOADER && asked > feed_used) wait(s.back_weights, feed_used & 1);
    if (blockIdx.x == 0 && thread == 0) a.exchange->phase = phase;
    cluster_barrier();
  }

  // Each of these asks for the next layer's weights where the last ones are used up, and behind the
  // product, so that nobody waits for the asking.
  __device__ __forceinline__ void ask_qkv() {
    ask_inward(s.qkv, s.qkv_weights, a.layers + 1, a.attention, ATTENTION_BYTES, a.attention_norms,
               a.attention_biases);
  }

  __device__ __forceinline__ void ask_units() {
    ask_inward(s.units, s.units_weights, a.layers, a.feed, FEED_BYTES, a.feed_norms, a.feed_biases);
  }

  __device__ __forceinline__ void ask_inward(Inward& to, uint64_t& full, int layers,
                                             const uint8_t* weights, int bytes, const float* norms,
                                             const float* biases) {
    if (source.left-- <= 0) return;
    expect(full, sizeof(Inward));
#pragma unroll 1
    for (int of = 0; of < TEAMS; ++of) {
      const int at = source.layer * PARTS + part(of);
      copy(to.weights[of], weights + static_cast<size_t>(at) * bytes, INPUT_BYTES, full);
      copy(to.bias[of], biases + at * BIAS_FLOATS, sizeof(to.bias[of]), full);
    }
    copy(to.norm, norms + source.layer * NORM_FLOATS, sizeof(to.norm), full);
    if (++source.layer == layers) source.layer = 0;
  }

  __device__ __forceinline__ void ask_out() {
    ask_outward(s.out[0], sizeof(s.out[0]), s.out_weights, a.attention, ATTENTION_BYTES);
  }

  __device__ __forceinline__ void ask_back() {
    ask_outward(s.back[0], sizeof(s.back[0]), s.back_weights, a.feed, FEED_BYTES);
  }

  __device__ __forceinline__ void ask_outward(uint4* to, int size, uint64_t& full,
                                              const uint8_t* weights, int bytes) {
    if (source.left-- <= 0) return;
    expect(full, TEAMS * size);
#pragma unroll 1
    for (int of = 0; of < TEAMS; ++of) {
      const size_t at = static_cast<size_t>(source.layer * PARTS + part(of)) * bytes + INPUT_BYTES;
      copy(to + of * (size / 16), weights + at, size, full);
    }
    if (++source.layer == a.layers) source.layer = 0;
  }

  // Sums what the clusters made of this rank's rows, half of them a team, adds bias and residual,
  // and sends the rows to the whole cluster. For the warp's slot.
  __device__ __forceinline__ void gather(const float* bias) {
    if (!mine) return;
    const int row = team * 32 + lane;
    const uint64_t* words = a.exchange->sums[phase & 1][slot][0] + rank * ROWS + row;
    const float offset = bias[row] + s.residual[slot][row];
    uint64_t found[CLUSTERS];
    bool here = false;
    for (unsigned polls = 0; !here; ++polls) {
#pragma unroll
      for (int from = 0; from < CLUSTERS; ++from) found[from] = look(words + from * WIDTH);
      here = true;
#pragma unroll
      for (int from = 0; from < CLUSTERS; ++from)
        here &= static_cast<uint32_t>(found[from] >> 32) == phase;
      here = __all_sync(ALL, here);
      if (polls > PATIENCE) __trap();
    }
    float sums[CLUSTERS];
#pragma unroll
    for (int from = 0; from < CLUSTERS; ++from)
      sums[from] = __uint_as_float(static_cast<uint32_t>(found[from]));
    const uint32_t sum = __float_as_uint(add_clusters(sums) + offset);
    const uint32_t to = address(&s.m.stream[slot][rank * ROWS + row]);
    const uint32_t full = address(&s.stream_full);
#pragma unroll
    for (int other = 0; other < RANKS; ++other) send(on_rank(to, other), sum, on_rank(full, other));
  }

  // The gathered rows through a layer norm, half of them a team: the input of the next product, and
  // the residual.
  __device__ __forceinline__ void normalise(const float* norm) {
    if (mine) {
      wait(s.stream_full, streams & 1);
      Row row;
      row.load(s.m.stream[slot]);
      const float2 statistics = row.statistics();
#pragma unroll
      for (int i = 0; i < 2; ++i)
        keep_rows(normalised(of_team(row, i), statistics, norm, i + 2 * team), i);
    }
    ++streams;
  }

  __device__ __forceinline__ void embed() {
    if (!mine) return;
    Row row;
    row.embed(a.embedding + token * WIDTH, a.positions + position * WIDTH);
#pragma unroll
    for (int i = 0; i < 2; ++i) keep_rows(of_team(row, i), i);
  }

  // By value, number by number: a choice between addresses would put the row into local memory.
  __device__ __forceinline__ float4 of_team(const Row& row, int i) const {
    const float4 low = row.x[i], high = row.x[i + 2];
    return make_float4(team ? high.x : low.x, team ? high.y : low.y, team ? high.z : low.z,
                       team ? high.w : low.w);
  }

  __device__ __forceinline__ void keep_rows(const float4& x, int i) {
    keep(x, i + 2 * team, s.m.input[slot], s.residual[slot], rank * ROWS, (rank + 1) * ROWS);
  }

  // A projection back to the width: 16 rows for each of the first four warps.
  __device__ __forceinline__ void spread(const Product& sum) {
    const int row = rank * ROWS + (thread >> 5) * 16 + (lane >> 2), first = 2 * (lane & 3);
    uint64_t* to = a.exchange->sums[phase & 1][first][cluster] + row;
    if (mask >> first & 1) {
      publish(to, __float_as_uint(sum.low0), phase);
      publish(to + 8, __float_as_uint(sum.high0), phase);
    }
    to += CLUSTERS * WIDTH;
    if (mask >> (first + 1) & 1) {
      publish(to, __float_as_uint(sum.low1), phase);
      publish(to + 8, __float_as_uint(sum.high1), phase);
    }
  }

  __device__ __forceinline__ int first_place() const { return rank * QUADS + (lane >> 2); }

  __device__ __forceinline__ const uint4* lane_row(const __half* rows) const {
    return reinterpret_cast<const uint4*>(rows) + first_place() * 4 + (lane & 3);
  }

  // The loop over the layers, and the logits as what would be the next layer's first product.
  __device__ __forceinline__ void layers() {
    for (int layer = 0;; ++layer) {
      const bool last = layer == a.layers;
      const bool wanted = !last || cluster * TEAMS * RANKS < LOGIT_TILES;
      wait(s.qkv_weights, qkv_used++ & 1);
      if (thread == 0 && wanted) {
        if (layer) expect(s.stream_full, live * WIDTH * 4);
        if (!last) expect(s.qkv_full, live * TEAMS * 3 * HEAD * 4);
        if (!last) expect(s.mixed_full, live * TEAMS * RANKS * (HEAD * 4 + 8));
      }
      if (layer && wanted) gather(s.qkv.bias[0]);
      __half* keys = a.keys + cache_at + layer * cache_layer;
      __half* values = a.values + cache_at + layer * cache_layer;
      uint4 key[ROUNDS], value[ROUNDS];
      if (mine && !last)
        load_keys(lane_row(keys), lane_row(values), first_place(), length, key, value);
      if (layer == 0)
        embed();
      else if (wanted)
        normalise(s.qkv.norm);
      const float bias = s.qkv.bias[team][ROWS + (lane & 15)];
      __syncthreads();
      const float result = product(inward_weights(s.qkv.weights[team], slot), s.m.input,
                                   s.m.sums[team], slot, TeamBarrier{team}) +
                           bias;
      if (thread == UNITS_LOADER && layer) ask_units();
      if (thread == BACK_LOADER && layer) ask_back();
      if (last) return logits(result);
      if (mine) {
        send_qkv(result);
        attend(keys, values, key, value);
        wait(s.mixed_full, feed_used & 1);
        s.m.head[team][slot][lane] = combine(s.m.mixed[team][slot], s.m.scores[team][slot]);
      }
      __syncthreads();
      if (thread == QKV_LOADER) ask_qkv();
      ++phase;
      if (projects()) {
        const int from = (lane & 3) * 8;
        wait(s.out_weights, feed_used & 1);
        const int at = (thread >> 5 & 3) * (HEAD / 16) * 32 + lane;
        const Weights<2> out_first(s.out[0] + at), out_second(s.out[1] + at);
        spread(heads_product(
            out_first, *reinterpret_cast<const uint4*>(&s.m.head[0][lane >> 2][from]), out_second,
            *reinterpret_cast<const uint4*>(&s.m.head[1][lane >> 2][from])));
      }
      feed(layer);
    }
  }

  // Lanes 0 to 11: four channels of q, of k and of v, for everyone in the cluster.
  __device__ __forceinline__ void send_qkv(float result) {
    const int row = lane & 15;
    if (row >= 3 * PIECE) return;
    const uint32_t to =
        address(&s.m.qkv[team][slot][row / PIECE * HEAD + rank * PIECE + row % PIECE]);
    const uint32_t full = address(&s.qkv_full);
    const int first = lane >> 4 << 2;
#pragma unroll
    for (int i = 0; i < RANKS / 2; ++i)
      send(on_rank(to, first + i), __float_as_uint(result), on_rank(full, first + i));
  }

  // Attention of the warp's slot over this rank's keys; the new key belongs to one of the ranks.
  __device__ __forceinline__ void attend(__half* keys, __half* values, uint4 (&key)[ROUNDS],
                                         uint4 (&value)[ROUNDS]) {
    wait(s.qkv_full, feed_used & 1);
    Attending attending(s.m.qkv[team][slot]);
    for (int place = first_place(), first = 0; first <= length;
         place += ROUNDS * KEYS, first += ROUNDS * KEYS) {
      if (first)
        load_keys(lane_row(keys + first * HEAD), lane_row(values + first * HEAD), place, length,
                  key, value);
      const int fresh = length - place;
      if (fresh >= 0 && fresh < ROUNDS * KEYS && fresh % KEYS == 0) {
        const uint4 new_key = new_row(keys, HEAD), new_value = new_row(values, 2 * HEAD);
#pragma unroll
        for (int i = 0; i < ROUNDS; ++i)
          if (fresh == i * KEYS) key[i] = new_key, value[i] = new_value;
      }
      __syncwarp();
      attending.add(place, length, key, value);
    }
    int channel;
    const float share = attending.finish(channel);
    const uint32_t to = address(&s.m.mixed[team][slot][rank][channel]);
    const uint32_t full = address(&s.mixed_full);
#pragma unroll
    for (int other = 0; other < RANKS; ++other)
      send(on_rank(to, other), __float_as_uint(share), on_rank(full, other));
    if (lane < RANKS)
      send(on_rank(address(&s.m.scores[team][slot][rank]), lane),
           make_float2(attending.most, attending.total), on_rank(full, lane));
  }

  // The quad's channels of the new key or value, written to the cache.
  __device__ __forceinline__ uint4 new_row(__half* cache, int offset) {
    const float* from = &s.m.qkv[team][slot][offset + (lane & 3) * 8];
    const uint4 row = make_uint4(pack_halves(from[0], from[1]), pack_halves(from[2], from[3]),
                                 pack_halves(from[4], from[5]), pack_halves(from[6], from[7]));
    reinterpret_cast<uint4*>(cache + length * HEAD)[lane & 3] = row;
    return row;
  }

  __device__ __forceinline__ void feed(int layer) {
    wait(s.units_weights, feed_used & 1);
    if (thread == 0) {
      expect(s.stream_full, live * WIDTH * 4);
      expect(s.units_full, live * TEAMS * UNITS * 2);
    }
    gather(s.units.bias[0]);
    if (mine) fetch_keys(layer + 1 < a.layers ? layer + 1 : 0);
    // Ahead of the wait; where keys and values fill the registers already, this would spill.
    const Weights<4> weights = inward_weights(s.units.weights[team], slot);
    normalise(s.units.norm);
    const float bias = s.units.bias[team][ROWS + (lane & 15)];
    __syncthreads();
    const float result =
        fmaxf(product(weights, s.m.input, s.m.sums[team], slot, TeamBarrier{team}) + bias, 0.0f);
    if (thread == OUT_LOADER) ask_out();
    if (mine) {
      const float other = __shfl_xor_sync(ALL, result, 1);
      const uint32_t pair = lane & 1 ? pack_halves(other, result) : pack_halves(result, other);
      // Each pair of units to two of the ranks.
      const uint32_t to = address(&s.m.units[team][slot][rank * 16 + (lane & 14)]);
      const uint32_t full = address(&s.units_full);
      const int first = (lane >> 4) * 4 + (lane & 1) * 2;
      send(on_rank(to, first), pair, on_rank(full, first));
      send(on_rank(to, first + 1), pair, on_rank(full, first + 1));
    }
    ++phase;
    if (projects()) {
      wait(s.back_weights, feed_used & 1);
      const int at = (thread >> 5) * (UNITS / 16) * 32 + lane, from = (lane & 3) * 16;
      wait(s.units_full, feed_used & 1);
      const Weights<8> first(s.back[0] + at), second(s.back[1] + at);
      spread(units_product(first, &s.m.units[0][lane >> 2][from], second,
                           &s.m.units[1][lane >> 2][from]));
    }
    ++feed_used;
  }

  // Brings the keys and values that this rank will read into L2.
  __device__ __forceinline__ void fetch_keys(int layer) const {
    for (int round = lane; round * KEYS + rank * QUADS < length; round += 32) {
      const size_t at = cache_at + layer * cache_layer + (round * KEYS + rank * QUADS) * HEAD;
      asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(a.keys + at),
                   "r"(QUADS * HEAD * 2));
      asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(a.values + at),
                   "r"(QUADS * HEAD * 2));
    }
  }

  // The packed biases of the logits are zero.
  __device__ __forceinline__ void logits(float result) {
    const int row = part(team) * 16 + (lane & 15);
    if (mine && lane < 16 && row < VOCABULARY)
      publish(&a.exchange->logits[slot][row], __float_as_uint(result), phase + 1);
    __syncthreads();
    if (thread == QKV_LOADER) ask_qkv();
    ++phase;
  }

  __device__ __forceinline__ void tokens() {
    if (draws() && team == 0 && mask >> speaker() & 1) {
      const int whose = speaker();
      for (int i = thread; i < VOCABULARY; i += THREADS)
        s.drawing.scores[i] = __uint_as_float(await(&a.exchange->logits[whose][i], phase));
      draw_barrier();
      bool ended;
      const int drawn = draw(s.drawing, s.speaker, ended);
      draw_barrier();
      if (thread == 0) {
        record(s.speaker, a.slots + whose, a.heard + whose * HEARD_WORDS, a.tokens + whose * TOKENS,
               drawn, ended, s.speaker.slot.length + 1, a.capacity);
        publish(&a.exchange->tokens[whose], drawn | s.speaker.slot.state << 16, phase + 1);
      }
    }
    ++phase;
    if (mine) {
      const uint32_t word = await(&a.exchange->tokens[slot], phase);
      token = word & 0xffff;
      ++position, ++length;
      if (lane == 0) s.states[slot] = word >> 16;
    }
    __syncthreads();
    read_states();
  }
};

}  // namespace t2s

extern "C" __global__ void __cluster_dims__(t2s::RANKS, 1, 1)
    __launch_bounds__(t2s::TEAMS* t2s::THREADS, 1)
        t2s_steps(const uint8_t* attention, const uint8_t* feed, const float* attention_norms,
                  const float* attention_biases, const float* feed_norms, const float* feed_biases,
                  const float* embedding, const float* positions, __half* keys, __half* values,
                  t2s::Slot* slots, uint32_t* heard, int32_t* tokens, t2s::Exchange* exchange,
                  int layers, int slot_count, int capacity, int steps) {
  extern __shared__ __align__(128) unsigned char memory[];
  const t2s::Arguments arguments = {attention,  feed,        attention_norms, attention_biases,
                                    feed_norms, feed_biases, embedding,       positions,
                                    keys,       values,      slots,           heard,
                                    tokens,     exchange,    layers,          slot_count,
                                    capacity,   steps};
  t2s::Decoder(arguments, *reinterpret_cast<t2s::Shared*>(memory)).run();
}
