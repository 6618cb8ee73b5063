// What all kernels share; the launcher puts this file in front of each of the others.
//
// No CUDA header is included: NVRTC knows everything used here by itself, so that CuPy compiles the
// kernels without a toolkit. Rounding is stated operation by operation (__fadd_rn, __fmul_rn), which
// keeps the compiler from fusing: distances are the same bits on every chip, and on a CPU.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define WARP 32
#define ALL_LANES 0xffffffffu
#define NO_KEY 0xffffffffffffffffull

// ((dx^2 + dy^2) + dz^2), each step rounded to nearest.
__device__ inline float sum_of_squares(float dx, float dy, float dz)
{
    return __fadd_rn(__fadd_rn(__fmul_rn(dx, dx), __fmul_rn(dy, dy)), __fmul_rn(dz, dz));
}

__device__ inline float squared_distance(float4 a, float4 b)
{
    return sum_of_squares(__fsub_rn(a.x, b.x), __fsub_rn(a.y, b.y), __fsub_rn(a.z, b.z));
}

// How far the intervals [low, high] and [from, to] are apart; 0 where they meet.
__device__ inline float gap(float low, float high, float from, float to)
{
    return fmaxf(fmaxf(__fsub_rn(low, to), __fsub_rn(from, high)), 0.0f);
}

// Squared distance of two boxes (low x, y, z, high x, y, z). Rounding is monotonic, so this is never
// above the rounded squared distance of any point of one to any point of the other: what is skipped
// by it could not have changed anything, exactly.
__device__ inline float squared_gap(const float *box, const float *other)
{
    return sum_of_squares(gap(box[0], box[3], other[0], other[3]),
                          gap(box[1], box[4], other[1], other[4]),
                          gap(box[2], box[5], other[2], other[5]));
}

// Orders by distance, then by row: floats that are not negative compare as their bits do.
__device__ inline u64 near_key(float squared, u32 row)
{
    return (u64)__float_as_uint(squared) << 32 | row;
}

// The largest is the farthest, and the lowest row among equally far ones. 0 stands for none.
__device__ inline u64 far_key(float squared, u32 row)
{
    return (u64)__float_as_uint(squared) << 32 | ~row;
}

__device__ inline u64 warp_max(u64 key)
{
    const u32 high = __reduce_max_sync(ALL_LANES, (u32)(key >> 32));
    const u32 low = __reduce_max_sync(ALL_LANES, (u32)(key >> 32) == high ? (u32)key : 0u);
    return (u64)high << 32 | low;
}

// How many of the threads before this one say yes, and how many of the block do. `counts` is shared
// and holds a number for each warp. Every thread of the block has to come here.
__device__ inline u32 rank_in_block(bool yes, u32 *counts, u32 *total)
{
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const u32 votes = __ballot_sync(ALL_LANES, yes);
    if (lane == 0) counts[warp] = __popc(votes);
    __syncthreads();
    u32 before = 0, all = 0;
    for (u32 each = 0; each < warps; ++each) {
        if (each < warp) before += counts[each];
        all += counts[each];
    }
    __syncthreads();  // counts may be written again
    *total = all;
    return before + __popc(votes & ((1u << lane) - 1));
}

// Interleaved bits of a point's cell on a grid of 1024^3 over the cube at `low` with edge `extent`;
// what lies outside is moved onto the border.
__device__ inline u32 spread_bits(u32 cell)
{
    cell = (cell | cell << 16) & 0x030000ffu;
    cell = (cell | cell << 8) & 0x0300f00fu;
    cell = (cell | cell << 4) & 0x030c30c3u;
    return (cell | cell << 2) & 0x09249249u;
}

__device__ inline u32 grid_cell(float at, float low, float extent)
{
    const float cell = extent > 0 ? (at - low) / extent * 1024.0f : 0.0f;
    return (u32)fminf(fmaxf(cell, 0.0f), 1023.0f);
}

__device__ inline int morton_code(float x, float y, float z, const float *low, const float *high)
{
    const float extent = fmaxf(fmaxf(high[0] - low[0], high[1] - low[1]), high[2] - low[2]);
    return (int)(spread_bits(grid_cell(x, low[0], extent)) << 2 |
                 spread_bits(grid_cell(y, low[1], extent)) << 1 |
                 spread_bits(grid_cell(z, low[2], extent)));
}

// Where points lie along the curve, on the grid it was made on.
struct Place {
    const int *codes;
    const float *low, *high;
    int n;
};

// The bucket of points where a point belongs by its place along the curve.
__device__ inline int home_bucket(const Place &place, float x, float y, float z)
{
    const int code = morton_code(x, y, z, place.low, place.high);
    int from = 0, to = place.n - 1;
    while (from < to) {
        const int middle = from + (to - from) / 2;
        if (place.codes[middle] < code) from = middle + 1;
        else to = middle;
    }
    return from / WARP;
}
