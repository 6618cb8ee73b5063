// The k nearest points of each centre, k up to 512: nearest first; ties: the lowest row.
//
// A block takes a centre. It holds what may still be among the k nearest in shared memory; when that
// is full it is sorted and cut to k, and from then on the k-th key is a bound. The buckets around the
// centre's place along the curve come first, so that the bound is low when all others are tested by
// their boxes.

#define MOST_HELD 1024     // the power of two at or above 512 + THREADS_HERE
#define THREADS_HERE 128

// Sorts `room` keys, a power of two, of which the first `held` are set. All threads of the block;
// what they wrote to keys before is seen, and what is sorted is seen after.
__device__ inline void sort_keys(u64 *keys, int held, int room)
{
    __syncthreads();
    for (int i = held + threadIdx.x; i < room; i += blockDim.x) keys[i] = NO_KEY;
    for (int run = 2; run <= room; run *= 2) {
        for (int step = run / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int pair = threadIdx.x; pair < room / 2; pair += blockDim.x) {
                const int low = 2 * step * (pair / step) + pair % step;
                const int high = low + step;
                const u64 a = keys[low], b = keys[high];
                if ((a > b) == ((low & run) == 0)) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
        }
    }
    __syncthreads();
}

// points (n,4), boxes, codes, low, high: a cloud in buckets; centers (l,3), a block for each, of
// THREADS_HERE threads; k from 1 to n; room: a power of two, at least k + THREADS_HERE and at most
// MOST_HELD. rows (l,k).
extern "C" __global__ void __launch_bounds__(128) nearest_many(
    const float4 *points, const float *boxes, const int *codes, const float *low, const float *high,
    int n, const float *centers, int k, int room, i64 *rows)
{
    __shared__ u64 keys[MOST_HELD];
    __shared__ int listed[THREADS_HERE];
    __shared__ int held, list_size;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const int buckets = (n + WARP - 1) / WARP;
    const float *place = centers + 3 * (i64)blockIdx.x;
    const float4 center = make_float4(place[0], place[1], place[2], 0);
    const float at[6] = {place[0], place[1], place[2], place[0], place[1], place[2]};
    u64 bound = NO_KEY;

    // Buckets around home with twice as many points as are sought.
    const int around = (2 * k + WARP - 1) / WARP;
    const Place along = {codes, low, high, n};
    const int home = home_bucket(along, center.x, center.y, center.z);
    const int first = max(0, home - around / 2), last = min(buckets, first + around + 1);
    // Buckets are listed a chunk at a time, from home's chunk on and around the end. The first list is
    // of what lies around home, untested: there is no bound yet.
    const int chunks = (buckets + (int)blockDim.x - 1) / (int)blockDim.x;
    if (threadIdx.x == 0) held = 0;
    for (int step = -1; step < chunks; ++step) {
        if (threadIdx.x == 0) list_size = 0;
        __syncthreads();
        if (step < 0) {
            for (int i = first + threadIdx.x; i < last; i += blockDim.x) listed[i - first] = i;
            if (threadIdx.x == 0) list_size = last - first;
        } else {
            const int bucket = (home / (int)blockDim.x + step) % chunks * (int)blockDim.x + threadIdx.x;
            if (bucket < buckets && (bucket < first || bucket >= last) &&
                __float_as_uint(squared_gap(boxes + 6 * (i64)bucket, at)) <= (u32)(bound >> 32))
                listed[atomicAdd(&list_size, 1)] = bucket;
        }
        __syncthreads();
        const int size = list_size;
        for (int from = 0; from < size; from += warps) {
            int now = held;
            __syncthreads();  // all have read it
            if (now + (int)blockDim.x > room) {
                sort_keys(keys, now, room);
                if (threadIdx.x == 0) held = k;  // now is above k, as room is at least k + a block
                bound = keys[k - 1];
                __syncthreads();
            }
            if (from + warp < size) {
                const i64 i = (i64)listed[from + warp] * WARP + lane;
                u64 key = NO_KEY;
                if (i < n) {
                    const float4 point = points[i];
                    key = near_key(squared_distance(point, center), (u32)__float_as_int(point.w));
                }
                const bool near = key < bound;
                const u32 votes = __ballot_sync(ALL_LANES, near);
                int to = 0;
                if (lane == 0) to = atomicAdd(&held, __popc(votes));
                to = __shfl_sync(ALL_LANES, to, 0) + __popc(votes & ((1u << lane) - 1));
                if (near) keys[to] = key;
            }
            __syncthreads();
        }
        const int now = held;
        if (now > k && bound == NO_KEY) {
            sort_keys(keys, now, room);
            if (threadIdx.x == 0) held = k;
            bound = keys[k - 1];
        }
        __syncthreads();
    }
    sort_keys(keys, held, room);
    for (int i = threadIdx.x; i < k; i += blockDim.x) rows[(i64)blockIdx.x * k + i] = (u32)keys[i];
}
