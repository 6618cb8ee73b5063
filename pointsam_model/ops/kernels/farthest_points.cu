// Exact farthest point sampling. Ties: the lowest row. Where every point left coincides with a chosen
// one, the unused rows in order. Rows come out in the order of choice.
//
// A cloud that fits into one block's registers is sampled there. A large one is sampled by the whole
// chip in rounds that give the very same sequence:
//   - points lie in buckets, each with its box and its farthest point. New samples are tried on a
//     bucket only where its box is nearer to them than its farthest point is to the old ones;
//   - a round has a floor. Every point farther than the floor from all samples goes into a pool, and
//     one block chooses among the pool alone for as long as the farthest in it is above the floor.
//     That is the sequence: points outside of the pool are not above the floor, and distances only
//     ever shrink;
//   - the floor is lowered from round to round by a factor that follows the size of the pool. A pool
//     that overflows (many equally far points) gives the one farthest point.
// Two barriers of the grid a round: 25 rounds choose 2,048 of 32,768 points on surfaces, 57 rounds 10,000
// of 307,200 (counted on a CPU, pools of 4,096).

#define HELD 4  // points that a thread holds, in registers: loops over them are unrolled
#define FIRST_FACTOR 0.8f
#define LEAST_FACTOR 0.001f
#define GREATEST_FACTOR 0.99999f

struct Held {
    float x[HELD], y[HELD], z[HELD], left[HELD];
    u32 row[HELD];
};

// Each warp's farthest point, twice: a step writes the one while slow warps still read the other.
struct Farthest {
    u64 key[2][WARP];
    float4 point[2][WARP];
};

// Chooses up to `most` points, farthest first, while one is farther than `floor`. All threads of the
// block call it and get the number of choices. Leaves through a step's barrier, so that `shared` may
// be used again only after another one. `samples`, where given, holds the choices' coordinates.
__device__ __forceinline__ int choose(
    Held &held, float floor, int most, Farthest *shared, i64 *rows, unsigned char *used,
    float4 *samples)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    int made = 0;
    for (; made < most; ++made) {
        const int side = made & 1;
        u64 key = 0;
        int at = 0;
#pragma unroll
        for (int h = 0; h < HELD; ++h) {
            const u64 other = held.left[h] > floor ? far_key(held.left[h], held.row[h]) : 0;
            if (other > key) {
                key = other;
                at = h;
            }
        }
        const u64 best = warp_max(key);
        if (key == best && (key != 0 || lane == 0)) {  // rows differ: one lane
            float4 point = make_float4(0, 0, 0, 0);
#pragma unroll
            for (int h = 0; h < HELD; ++h)  // no indexing by a variable: registers have no address
                if (h == at) point = make_float4(held.x[h], held.y[h], held.z[h],
                                                 __int_as_float((int)held.row[h]));
            shared->key[side][warp] = key;
            shared->point[side][warp] = point;
        }
        __syncthreads();
        const u64 theirs = lane < warps ? shared->key[side][lane] : 0;
        const u64 farthest = warp_max(theirs);
        if (farthest == 0) break;
        const int winner = __ffs((int)__ballot_sync(ALL_LANES, theirs == farthest)) - 1;
        const float4 chosen = shared->point[side][winner];
        if (threadIdx.x == 0) {
            const int row = __float_as_int(chosen.w);
            rows[made] = row;
            used[row] = 1;
            if (samples != 0) samples[made] = chosen;
        }
#pragma unroll
        for (int h = 0; h < HELD; ++h) {
            const float4 point = make_float4(held.x[h], held.y[h], held.z[h], 0);
            held.left[h] = fminf(held.left[h], squared_distance(point, chosen));
        }
    }
    return made;
}

// The unused rows in order, until there are `count`. All threads of one block.
__device__ void fill_up(int n, int made, int count, i64 *rows, const unsigned char *used, u32 *counts)
{
    __syncthreads();  // used is complete
    for (i64 from = 0; made < count && from < n; from += blockDim.x) {
        const i64 row = from + threadIdx.x;
        const bool free = row < n && !used[row];
        u32 found;
        const u32 rank = rank_in_block(free, counts, &found);
        if (free && made + (i64)rank < count) rows[made + rank] = row;
        made = (int)(made + (i64)found);
    }
}

// One block for each cloud of clouds (b,n,3), n <= HELD * blockDim. rows (b,count); used (b,n) zeros.
extern "C" __global__ void __launch_bounds__(1024) farthest_of_few(
    const float *clouds, int n, int count, int start, i64 *rows, unsigned char *used)
{
    __shared__ Farthest shared;
    __shared__ u32 counts[WARP];
    const float *cloud = clouds + 3 * (i64)blockIdx.x * n;
    rows += (i64)blockIdx.x * count;
    used += (i64)blockIdx.x * n;
    const float4 first =
        make_float4(cloud[3 * (i64)start], cloud[3 * (i64)start + 1], cloud[3 * (i64)start + 2], 0);
    Held held;
#pragma unroll
    for (int h = 0; h < HELD; ++h) {
        const int row = h * blockDim.x + threadIdx.x;
        const i64 at = 3 * (i64)(row < n ? row : 0);
        held.x[h] = cloud[at];
        held.y[h] = cloud[at + 1];
        held.z[h] = cloud[at + 2];
        held.row[h] = row;
        held.left[h] =
            row < n ? squared_distance(make_float4(cloud[at], cloud[at + 1], cloud[at + 2], 0), first)
                    : -1.0f;
    }
    if (threadIdx.x == 0) {
        rows[0] = start;
        used[start] = 1;
    }
    const int made = 1 + choose(held, 0.0f, count - 1, &shared, rows + 1, used, 0);
    fill_up(n, made, count, rows, used, counts);
}

// What the blocks of a large cloud tell each other.
struct Rounds {
    u64 farthest;  // key of the farthest point, of this round
    u32 arrived;   // blocks that have come to a barrier, ever
    u32 pooled;    // points above the floor, of this round
    u32 fresh;     // samples that the buckets have not seen
    u32 made;      // rows chosen
    float floor;
    u32 done;
};

// All blocks wait for all; they run at the same time (the launch is cooperative). What was written
// before by any thread is seen afterwards by all.
__device__ void grid_barrier(u32 *arrived)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        const u32 ticket = atomicAdd(arrived, 1u);
        const u32 goal = (ticket / gridDim.x + 1) * gridDim.x;
        while (*(volatile u32 *)arrived < goal) __nanosleep(20);
        __threadfence();
    }
    __syncthreads();
}

// Tries the round's samples on this warp's buckets, and pools what is above the floor. Returns the
// key of the farthest point among the warp's buckets.
__device__ __forceinline__ u64 update_buckets(
    const float4 *points, const float *boxes, int n, float *left, u64 *keys, const float4 *samples,
    u32 fresh, float floor, float4 *pool, float *pool_left, u32 capacity, Rounds *rounds)
{
    const u32 lane = threadIdx.x % WARP;
    const int buckets = (n + WARP - 1) / WARP;
    const int warps = gridDim.x * (blockDim.x / WARP);
    u64 farthest = 0;
    // Buckets side by side go to different blocks: what a sample changes lies together.
    for (int bucket = (threadIdx.x / WARP) * gridDim.x + blockIdx.x; bucket < buckets;
         bucket += warps) {
        const i64 i = (i64)bucket * WARP + lane;
        const float *box = boxes + 6 * (i64)bucket;
        u64 key = keys[bucket];
        const float reach = __uint_as_float((u32)(key >> 32));
        float4 point = make_float4(0, 0, 0, 0);
        float mine = -1.0f;
        bool loaded = false, changed = false;
        for (u32 from = 0; from < fresh; from += WARP) {
            float4 sample = make_float4(0, 0, 0, 0);
            bool hit = false;
            if (from + lane < fresh) {
                sample = samples[from + lane];
                const float at[6] = {sample.x, sample.y, sample.z, sample.x, sample.y, sample.z};
                hit = squared_gap(box, at) < reach;
            }
            u32 hits = __ballot_sync(ALL_LANES, hit);
            if (hits != 0 && !loaded) {
                if (i < n) {
                    point = points[i];
                    mine = left[i];
                }
                loaded = true;
            }
            changed |= hits != 0;
            for (; hits != 0; hits &= hits - 1) {
                const int from_lane = __ffs((int)hits) - 1;
                const float4 chosen = make_float4(__shfl_sync(ALL_LANES, sample.x, from_lane),
                                                  __shfl_sync(ALL_LANES, sample.y, from_lane),
                                                  __shfl_sync(ALL_LANES, sample.z, from_lane), 0);
                mine = fminf(mine, squared_distance(point, chosen));
            }
        }
        if (changed) {
            if (i < n) left[i] = mine;
            key = warp_max(i < n ? far_key(mine, (u32)__float_as_int(point.w)) : 0);
            if (lane == 0) keys[bucket] = key;
        }
        farthest = key > farthest ? key : farthest;
        if (__uint_as_float((u32)(key >> 32)) > floor) {
            if (!loaded && i < n) {
                point = points[i];
                mine = left[i];
            }
            const bool above = i < n && mine > floor;
            const u32 votes = __ballot_sync(ALL_LANES, above);
            u32 place = 0;
            if (lane == 0) place = atomicAdd(&rounds->pooled, (u32)__popc(votes));
            place = __shfl_sync(ALL_LANES, place, 0) + __popc(votes & ((1u << lane) - 1));
            if (above && place < capacity) {
                pool[place] = point;
                pool_left[place] = mine;
            }
        }
    }
    return farthest;
}

// One cloud on the whole chip; a cooperative launch.
//
// cloud (n,3) and its buckets: points (n,), boxes (ceil(n/32),6). Scratch: left (n,) and keys
// (ceil(n/32),), any content; samples, pool, pool_left (HELD * blockDim,); rounds: zeros.
// rows (count,); used (n,) zeros.
extern "C" __global__ void __launch_bounds__(1024) farthest_of_buckets(
    const float *cloud, const float4 *points, const float *boxes, int n, int count, int start,
    float *left, u64 *keys, float4 *samples, float4 *pool, float *pool_left, Rounds *rounds,
    i64 *rows, unsigned char *used)
{
    __shared__ Farthest shared;
    __shared__ u32 counts[WARP];
    const float infinity = __int_as_float(0x7f800000);
    const u32 capacity = HELD * blockDim.x;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    for (i64 i = thread; i < n; i += (i64)gridDim.x * blockDim.x) left[i] = infinity;
    for (i64 i = thread; i < (n + WARP - 1) / WARP; i += (i64)gridDim.x * blockDim.x)
        keys[i] = far_key(infinity, 0);
    if (thread == 0) {
        const float *at = cloud + 3 * (i64)start;
        samples[0] = make_float4(at[0], at[1], at[2], __int_as_float(start));
        rows[0] = start;
        used[start] = 1;
        rounds->fresh = 1;
        rounds->made = 1;
        rounds->floor = infinity;
        rounds->done = count == 1;
    }
    float factor = FIRST_FACTOR;
    grid_barrier(&rounds->arrived);
    while (!rounds->done) {
        const u64 best = update_buckets(points, boxes, n, left, keys, samples, rounds->fresh,
                                        rounds->floor, pool, pool_left, capacity, rounds);
        if (lane == 0) shared.key[0][warp] = best;
        __syncthreads();
        if (warp == 0) {
            const u64 farthest = warp_max(lane < warps ? shared.key[0][lane] : 0);
            if (lane == 0) atomicMax(&rounds->farthest, farthest);
        }
        grid_barrier(&rounds->arrived);
        if (blockIdx.x == 0) {
            const u64 farthest = rounds->farthest;
            const u32 pooled = rounds->pooled;
            const u32 made = rounds->made;
            const float above = rounds->floor;
            float top = __uint_as_float((u32)(farthest >> 32));
            u32 fresh = 0;
            if (top > 0 && pooled > capacity) {
                if (threadIdx.x == 0) {
                    const u32 row = ~(u32)farthest;
                    const float *at = cloud + 3 * (i64)row;
                    samples[0] = make_float4(at[0], at[1], at[2], __int_as_float((int)row));
                    rows[made] = row;
                    used[row] = 1;
                }
                fresh = 1;
            } else if (top > 0 && pooled > 0) {
                Held held;
#pragma unroll
                for (int h = 0; h < HELD; ++h) {
                    const u32 at = h * blockDim.x + threadIdx.x;
                    const float4 point = at < pooled ? pool[at] : make_float4(0, 0, 0, 0);
                    held.x[h] = point.x;
                    held.y[h] = point.y;
                    held.z[h] = point.z;
                    held.row[h] = (u32)__float_as_int(point.w);
                    held.left[h] = at < pooled ? pool_left[at] : -1.0f;
                }
                fresh = choose(held, above, count - made, &shared, rows + made, used, samples);
                if (made + fresh < (u32)count) top = above;
            }
            if (pooled > capacity / 2) factor = fminf(sqrtf(factor), GREATEST_FACTOR);
            else if (pooled > 0 && pooled < capacity / 8) factor = fmaxf(factor * factor, LEAST_FACTOR);
            __syncthreads();  // everyone has read what thread 0 now changes
            if (threadIdx.x == 0) {
                // Below the farthest point in any case, so that every second round chooses one.
                const float below = __uint_as_float(__float_as_uint(top) - (top > 0));
                rounds->floor = fminf(top * factor, below);
                rounds->fresh = fresh;
                rounds->made = made + fresh;
                rounds->farthest = 0;
                rounds->pooled = 0;
                rounds->done = made + fresh == (u32)count || farthest >> 32 == 0;
            }
        }
        grid_barrier(&rounds->arrived);
    }
    if (blockIdx.x == 0) fill_up(n, (int)rounds->made, count, rows, used, counts);
}
