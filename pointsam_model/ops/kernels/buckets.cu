// Points in buckets: sorted along a space-filling curve (Morton), every 32 in a row make a bucket
// with a box around it. Searches and samplers skip whole buckets by their boxes. How well the curve
// keeps neighbours together decides about speed only, never about a result.

// codes (n,) of cloud (n,3), on a grid over the box from low (3,) to high (3,).
extern "C" __global__ void morton_codes(
    const float *cloud, int n, const float *low, const float *high, int *codes)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x)
        codes[i] = morton_code(cloud[3 * i], cloud[3 * i + 1], cloud[3 * i + 2], low, high);
}

// points (n,): x, y, z and the source row's bits, in the given order of rows; boxes (ceil(n/32),6):
// least x, y, z, greatest x, y, z of each bucket. A warp makes a bucket; blocks are whole warps.
extern "C" __global__ void make_buckets(
    const float *cloud, const i64 *order, int n, float4 *points, float *boxes)
{
    const int lane = threadIdx.x % WARP;
    const int buckets = (n + WARP - 1) / WARP;
    const int warps = gridDim.x * (blockDim.x / WARP);
    for (int bucket = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP; bucket < buckets;
         bucket += warps) {
        const i64 i = (i64)bucket * WARP + lane;
        const i64 row = order[i < n ? i : n - 1];  // idle lanes repeat the last point
        float low[3], high[3];
        for (int axis = 0; axis < 3; ++axis) low[axis] = high[axis] = cloud[3 * row + axis];
        if (i < n) points[i] = make_float4(low[0], low[1], low[2], __int_as_float((int)row));
        for (int axis = 0; axis < 3; ++axis) {
            for (int step = WARP / 2; step > 0; step /= 2) {
                low[axis] = fminf(low[axis], __shfl_xor_sync(ALL_LANES, low[axis], step));
                high[axis] = fmaxf(high[axis], __shfl_xor_sync(ALL_LANES, high[axis], step));
            }
            if (lane == axis) {
                boxes[6 * (i64)bucket + axis] = low[axis];
                boxes[6 * (i64)bucket + 3 + axis] = high[axis];
            }
        }
    }
}
