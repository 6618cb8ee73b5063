// The few nearest points of every one of many queries. Nearest first; ties: the lowest row.
//
// Queries lie in buckets too: a warp takes one, a lane a query. All lanes walk over a bucket of points
// together, and only over those whose box is nearer to the queries' box than the farthest of what the
// lanes hold. The first bucket is the one where the curve would put the first query.

// Puts the points of a bucket into the lane's nearest ones, ascending keys.
template <int T>
__device__ inline void try_bucket(
    const float4 *points, int n, int bucket, float4 query, u64 *nearest)
{
    const int end = min(n - bucket * WARP, WARP);
    for (int each = 0; each < end; ++each) {
        const float4 point = points[(i64)bucket * WARP + each];  // one address for all lanes
        u64 key = near_key(squared_distance(query, point), (u32)__float_as_int(point.w));
        for (int t = 0; t < T; ++t) {
            const u64 held = nearest[t];
            const bool nearer = key < held;
            nearest[t] = nearer ? key : held;
            key = nearer ? held : key;
        }
    }
}

template <int T>
__device__ inline void find_nearest(
    const float4 *queries, const float *query_boxes, int q, const float4 *points,
    const float *boxes, const Place &place, int kept, i64 *rows, float *weights)
{
    const int lane = threadIdx.x % WARP;
    const int group = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (group >= (q + WARP - 1) / WARP) return;  // the whole warp
    const i64 at = (i64)group * WARP + lane;
    const float4 query = queries[at < q ? at : q - 1];  // idle lanes repeat the last query
    const float *mine = query_boxes + 6 * (i64)group;
    u64 nearest[T];
    for (int t = 0; t < T; ++t) nearest[t] = NO_KEY;

    const float4 first = make_float4(__shfl_sync(ALL_LANES, query.x, 0),
                                     __shfl_sync(ALL_LANES, query.y, 0),
                                     __shfl_sync(ALL_LANES, query.z, 0), 0);
    const int home = home_bucket(place, first.x, first.y, first.z);
    try_bucket<T>(points, place.n, home, query, nearest);
    // Bits of the distance beyond which no lane's nearest change.
    u32 bound = __reduce_max_sync(ALL_LANES, (u32)(nearest[T - 1] >> 32));

    const int buckets = (place.n + WARP - 1) / WARP;
    const int chunks = (buckets + WARP - 1) / WARP;
    for (int step = 0; step < chunks; ++step) {
        const int chunk = (home / WARP + step) % chunks;
        const int bucket = chunk * WARP + lane;
        u32 apart = 0xffffffffu;
        if (bucket < buckets && bucket != home)
            apart = __float_as_uint(squared_gap(mine, boxes + 6 * (i64)bucket));
        // An equal distance may have a lower row.
        u32 hits = __ballot_sync(ALL_LANES, apart <= bound && bucket < buckets && bucket != home);
        for (; hits != 0; hits &= hits - 1) {
            const int from = __ffs((int)hits) - 1;
            if (__shfl_sync(ALL_LANES, apart, from) > bound) continue;  // all lanes alike
            try_bucket<T>(points, place.n, chunk * WARP + from, query, nearest);
            bound = __reduce_max_sync(ALL_LANES, (u32)(nearest[T - 1] >> 32));
        }
    }
    if (at >= q) return;
    const i64 out = (i64)__float_as_int(query.w) * kept;
    float weight[T], total = 0;
    for (int t = 0; t < T; ++t) {
        weight[t] = __fdiv_rn(1.0f, fmaxf(__uint_as_float((u32)(nearest[t] >> 32)), 1e-8f));
        if (t < kept) total = __fadd_rn(total, weight[t]);
    }
    for (int t = 0; t < T; ++t) {
        if (t >= kept) break;
        rows[out + t] = (u32)nearest[t];
        if (weights != 0) weights[out + t] = __fdiv_rn(weight[t], total);
    }
}

// queries (q,4) and query_boxes, points (n,4), boxes, codes (n,), low, high: two clouds in buckets on
// the same coordinates. rows (q,): of the nearest point of each query, by the queries' source rows.
extern "C" __global__ void nearest_one(
    const float4 *queries, const float *query_boxes, int q, const float4 *points,
    const float *boxes, const int *codes, const float *low, const float *high, int n, i64 *rows)
{
    const Place place = {codes, low, high, n};
    find_nearest<1>(queries, query_boxes, q, points, boxes, place, 1, rows, 0);
}

// The same with rows (q,kept) and weights (q,kept) = 1 / max(d^2, 1e-8), summing to 1; kept is
// min(3, n).
extern "C" __global__ void nearest_three(
    const float4 *queries, const float *query_boxes, int q, const float4 *points,
    const float *boxes, const int *codes, const float *low, const float *high, int n, int kept,
    i64 *rows, float *weights)
{
    const Place place = {codes, low, high, n};
    find_nearest<3>(queries, query_boxes, q, points, boxes, place, kept, rows, weights);
}
