// From masks over the kept points to ascending rows of the source, all masks of an answer at once.
//
// A block takes EACH * blockDim source points of one mask; blockIdx.y is the mask. Two passes: the
// blocks count, and with the running sums of the counts each knows where its rows go.

#define EACH 4

// Whether a source point is in the mask: its nearest kept point is.
__device__ inline bool is_inside(const unsigned char *mask, const int *nearest, i64 n, i64 i)
{
    return i < n && nearest[i] >= 0 && mask[nearest[i]];
}

// masks (c,m) of 0 and 1; nearest (n,): kept point of each source point, -1 for none.
// counts (c,blocks): source points in each block's part of each mask.
extern "C" __global__ void count_inside(
    const unsigned char *masks, i64 m, const int *nearest, i64 n, i64 *counts)
{
    __shared__ u32 warps[WARP];
    i64 count = 0;
    for (int each = 0; each < EACH; ++each) {
        const i64 i = ((i64)blockIdx.x * EACH + each) * blockDim.x + threadIdx.x;
        u32 found;
        rank_in_block(is_inside(masks + blockIdx.y * m, nearest, n, i), warps, &found);
        count += found;
    }
    if (threadIdx.x == 0) counts[(i64)blockIdx.y * gridDim.x + blockIdx.x] = count;
}

// ends (c,blocks): running sums of all counts in this order. rows: of all masks, one after another.
extern "C" __global__ void rows_inside(
    const unsigned char *masks, i64 m, const int *nearest, i64 n, const i64 *ends, int *rows)
{
    __shared__ u32 warps[WARP];
    const i64 block = (i64)blockIdx.y * gridDim.x + blockIdx.x;
    i64 base = block == 0 ? 0 : ends[block - 1];
    for (int each = 0; each < EACH; ++each) {
        const i64 i = ((i64)blockIdx.x * EACH + each) * blockDim.x + threadIdx.x;
        const bool inside = is_inside(masks + blockIdx.y * m, nearest, n, i);
        u32 found;
        const i64 place = base + rank_in_block(inside, warps, &found);
        base += found;
        if (inside) rows[place] = (int)i;
    }
}
