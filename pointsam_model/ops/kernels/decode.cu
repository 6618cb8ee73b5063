// From a sensor's bytes to coordinates and colours, and from all points to the valid ones.

// The bits of a number of 4 or 8 bytes at any address. Sensors mostly align their fields to 4 bytes:
// whole words are read then.
__device__ inline u64 number_at(const unsigned char *at, int size, bool swapped)
{
    u64 bits = 0;
    if ((u64)at % 4 == 0) {
        for (int word = 0; word < size / 4; ++word) {
            const u32 stored = ((const u32 *)at)[word];
            if (swapped) bits = bits << 32 | __byte_perm(stored, 0, 0x0123);
            else bits |= (u64)stored << 32 * word;
        }
        return bits;
    }
    for (int byte = 0; byte < size; ++byte)
        bits |= (u64)at[swapped ? size - 1 - byte : byte] << 8 * byte;
    return bits;
}

__device__ inline double coordinate_at(const unsigned char *at, int size, bool swapped)
{
    const u64 bits = number_at(at, size, swapped);
    return size == 8 ? __longlong_as_double((i64)bits) : (double)__uint_as_float((u32)bits);
}

template <class T>
__device__ inline void decode_points(
    const unsigned char *data, i64 n, i64 width, i64 point_step, i64 row_step, i64 x, i64 y, i64 z,
    int x_size, int y_size, int z_size, int swapped, i64 red, i64 green, i64 blue, double farthest,
    T *xyz, unsigned char *rgb, unsigned char *valid)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x) {
        const unsigned char *point = data + i / width * row_step + i % width * point_step;
        const double at[3] = {coordinate_at(point + x, x_size, swapped),
                              coordinate_at(point + y, y_size, swapped),
                              coordinate_at(point + z, z_size, swapped)};
        bool near = true, some = false;
        for (int axis = 0; axis < 3; ++axis) {
            xyz[3 * i + axis] = (T)at[axis];
            near = near && fabs(at[axis]) <= farthest;  // false for NaN
            some = some || at[axis] != 0;
        }
        valid[i] = near && some;
        if (red >= 0) {
            rgb[3 * i] = point[red];
            rgb[3 * i + 1] = point[green];
            rgb[3 * i + 2] = point[blue];
        }
    }
}

// data: height x width points, each row_step and point_step bytes from the next; x, y, z, red, green,
// blue: where their fields begin in a point (red -1: no colours, rgb is left alone); sizes 4 or 8.
// xyz (n,3); rgb (n,3); valid (n,): 1 where no coordinate is NaN or beyond `farthest` and one is not 0.
extern "C" __global__ void decode_single(
    const unsigned char *data, i64 n, i64 width, i64 point_step, i64 row_step, i64 x, i64 y, i64 z,
    int x_size, int y_size, int z_size, int swapped, i64 red, i64 green, i64 blue, double farthest,
    float *xyz, unsigned char *rgb, unsigned char *valid)
{
    decode_points(data, n, width, point_step, row_step, x, y, z, x_size, y_size, z_size, swapped, red,
                  green, blue, farthest, xyz, rgb, valid);
}

// The same where a coordinate has 8 bytes.
extern "C" __global__ void decode_double(
    const unsigned char *data, i64 n, i64 width, i64 point_step, i64 row_step, i64 x, i64 y, i64 z,
    int x_size, int y_size, int z_size, int swapped, i64 red, i64 green, i64 blue, double farthest,
    double *xyz, unsigned char *rgb, unsigned char *valid)
{
    decode_points(data, n, width, point_step, row_step, x, y, z, x_size, y_size, z_size, swapped, red,
                  green, blue, farthest, xyz, rgb, valid);
}

#define EACH 4  // points of a thread; a block's points lie together

// counts (blocks,): how many points of each block are valid; a block has EACH * blockDim points.
extern "C" __global__ void count_valid(const unsigned char *valid, i64 n, i64 *counts)
{
    __shared__ u32 warps[WARP];
    i64 count = 0;
    for (int each = 0; each < EACH; ++each) {
        const i64 i = ((i64)blockIdx.x * EACH + each) * blockDim.x + threadIdx.x;
        u32 found;
        rank_in_block(i < n && valid[i], warps, &found);
        count += found;
    }
    if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

// ends (blocks,): running sums of counts. kept_xyz, kept_rgb, rows (m): the valid points in order and
// their source rows, m the last of ends; places (n,): place among them, or -1. `words` of 4 bytes make
// a point's coordinates; rgb 0: no colours.
extern "C" __global__ void keep_valid(
    const unsigned char *valid, i64 n, const i64 *ends, const u32 *xyz, int words,
    const unsigned char *rgb, u32 *kept_xyz, unsigned char *kept_rgb, i64 *rows, int *places)
{
    __shared__ u32 warps[WARP];
    i64 base = blockIdx.x == 0 ? 0 : ends[blockIdx.x - 1];
    for (int each = 0; each < EACH; ++each) {
        const i64 i = ((i64)blockIdx.x * EACH + each) * blockDim.x + threadIdx.x;
        const bool kept = i < n && valid[i];
        u32 found;
        const i64 place = base + rank_in_block(kept, warps, &found);
        base += found;
        if (i < n) places[i] = kept ? (int)place : -1;
        if (!kept) continue;
        rows[place] = i;
        for (int word = 0; word < words; ++word)
            kept_xyz[place * words + word] = xyz[i * words + word];
        if (rgb != 0)
            for (int channel = 0; channel < 3; ++channel)
                kept_rgb[3 * place + channel] = rgb[3 * i + channel];
    }
}
