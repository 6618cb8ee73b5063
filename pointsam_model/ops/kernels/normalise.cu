// Centre and greatest radius of clouds, in double precision, and the points in the unit sphere.
//
// Sums are of differences to the cloud's first point, so that coordinates around 5e5 m lose nothing,
// and always added in the same order: every thread its points, then lane by lane, warp by warp, block
// by block. blockIdx.y is the cloud; gridDim.x is at most PARTS.

#define PARTS 64
#define MOST_WARPS 32

struct Sum {
    double x, y, z;
};

// The sum over the block, in thread 0; of a fixed order. `held` is shared, a place for each warp.
__device__ inline Sum block_sum(Sum mine, Sum *held)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    for (int step = WARP / 2; step > 0; step /= 2) {
        mine.x += __shfl_xor_sync(ALL_LANES, mine.x, step);
        mine.y += __shfl_xor_sync(ALL_LANES, mine.y, step);
        mine.z += __shfl_xor_sync(ALL_LANES, mine.z, step);
    }
    if (lane == 0) held[warp] = mine;
    __syncthreads();
    Sum total = {0, 0, 0};
    for (int each = 0; each < warps; ++each) {
        total.x += held[each].x;
        total.y += held[each].y;
        total.z += held[each].z;
    }
    return total;
}

template <class T>
__device__ inline void sum_points(const T *clouds, i64 n, Sum *sums, Sum *held)
{
    const T *cloud = clouds + 3 * (i64)blockIdx.y * n;
    const double x = cloud[0], y = cloud[1], z = cloud[2];
    Sum mine = {0, 0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x) {
        mine.x += (double)cloud[3 * i] - x;
        mine.y += (double)cloud[3 * i + 1] - y;
        mine.z += (double)cloud[3 * i + 2] - z;
    }
    const Sum total = block_sum(mine, held);
    if (threadIdx.x == 0) sums[(i64)blockIdx.y * gridDim.x + blockIdx.x] = total;
}

// Every block of a cloud finds the same centre, by itself.
template <class T>
__device__ inline Sum centre_of(const T *cloud, i64 n, const Sum *sums)
{
    Sum total = {0, 0, 0};
    for (u32 part = 0; part < gridDim.x; ++part) {
        const Sum each = sums[(i64)blockIdx.y * gridDim.x + part];
        total.x += each.x;
        total.y += each.y;
        total.z += each.z;
    }
    const Sum centre = {cloud[0] + total.x / n, cloud[1] + total.y / n, cloud[2] + total.z / n};
    return centre;
}

template <class T>
__device__ inline void find_radius(
    const T *clouds, i64 n, const Sum *sums, Sum *centers, u64 *squares, u64 *held)
{
    const T *cloud = clouds + 3 * (i64)blockIdx.y * n;
    const Sum centre = centre_of(cloud, n, sums);
    u64 most = 0;  // bits of a double that is not negative order as it does
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x) {
        const double x = cloud[3 * i] - centre.x, y = cloud[3 * i + 1] - centre.y;
        const double z = cloud[3 * i + 2] - centre.z;
        const u64 bits = (u64)__double_as_longlong(x * x + y * y + z * z);
        most = bits > most ? bits : most;
    }
    most = warp_max(most);
    if (threadIdx.x % WARP == 0) held[threadIdx.x / WARP] = most;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (u32 warp = 0; warp < blockDim.x / WARP; ++warp)
            most = held[warp] > most ? held[warp] : most;
        squares[(i64)blockIdx.y * gridDim.x + blockIdx.x] = most;
        if (blockIdx.x == 0) centers[blockIdx.y] = centre;
    }
}

template <class T>
__device__ inline void to_unit_sphere(
    const T *clouds, i64 n, const Sum *centers, const u64 *squares, float *coords, double *scales)
{
    u64 most = 0;
    for (u32 part = 0; part < gridDim.x; ++part) {
        const u64 each = squares[(i64)blockIdx.y * gridDim.x + part];
        most = each > most ? each : most;
    }
    const double radius = sqrt(__longlong_as_double((i64)most));
    const double scale = radius > 0 ? radius : 1;
    const Sum centre = centers[blockIdx.y];
    const i64 first = 3 * (i64)blockIdx.y * n;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x) {
        const i64 at = first + 3 * i;
        coords[at] = (float)((clouds[at] - centre.x) / scale);
        coords[at + 1] = (float)((clouds[at + 1] - centre.y) / scale);
        coords[at + 2] = (float)((clouds[at + 2] - centre.z) / scale);
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) scales[blockIdx.y] = scale;
}

// clouds (b,n,3) of T, n at least 1; sums and squares (b,parts): scratch of three launches of one grid
// (parts,b); centers (b,3) and scales (b,) double; coords (b,n,3) float.
#define FOR_TYPE(T, name)                                                                          \
    extern "C" __global__ void sum_##name(const T *clouds, i64 n, Sum *sums)                       \
    {                                                                                              \
        __shared__ Sum held[MOST_WARPS];                                                           \
        sum_points(clouds, n, sums, held);                                                         \
    }                                                                                              \
    extern "C" __global__ void radius_##name(                                                      \
        const T *clouds, i64 n, const Sum *sums, Sum *centers, u64 *squares)                       \
    {                                                                                              \
        __shared__ u64 held[MOST_WARPS];                                                           \
        find_radius(clouds, n, sums, centers, squares, held);                                      \
    }                                                                                              \
    extern "C" __global__ void normalise_##name(                                                   \
        const T *clouds, i64 n, const Sum *centers, const u64 *squares, float *coords,             \
        double *scales)                                                                            \
    {                                                                                              \
        to_unit_sphere(clouds, n, centers, squares, coords, scales);                               \
    }

FOR_TYPE(float, single)
FOR_TYPE(double, double)
