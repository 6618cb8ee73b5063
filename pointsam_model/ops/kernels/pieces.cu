// Connected pieces of masks and of what is outside of them: union-find, all masks of an answer at once.
//
// Each point of a mask has a parent in its piece, a lower row or itself. Only a root is ever hung, and
// only under a lower row, so that the last root of a piece is its lowest row, whatever the order. A
// block takes blockDim points of one mask; blockIdx.y is the mask.

// The root above a point. On the way each point is hung under its grandparent: another thread may do
// the same from an older view, yet what it writes is above that point too.
__device__ inline int root_of(volatile int *parents, int i)
{
    int parent = parents[i];
    while (parent != i) {
        const int above = parents[parent];
        if (above != parent) parents[i] = above;
        i = parent;
        parent = above;
    }
    return i;
}

// masks (c,m) of 0 and 1; links (m,k): rows that each point is linked to.
// parents (c,m): at first each point's own row. bordering (c,m): at first 0; 1 where a link crosses.
extern "C" __global__ void join_linked(
    const unsigned char *masks, const i64 *links, int m, int k, int *parents,
    unsigned char *bordering)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const i64 first = (i64)blockIdx.y * m;
    const unsigned char *mask = masks + first;
    int *here = parents + first;
    for (int each = 0; each < k; ++each) {
        const int end = (int)links[(i64)i * k + each];
        if (mask[end] != mask[i]) bordering[first + i] = bordering[first + end] = 1;
        if (end == i || mask[end] != mask[i]) continue;
        int low = i, high = end;
        for (;;) {
            low = root_of(here, low);
            high = root_of(here, high);
            if (low == high) break;
            if (low > high) {
                const int swapped = low;
                low = high;
                high = swapped;
            }
            if (atomicCAS(here + high, high, low) == high) break;
        }
    }
}

// After `join_linked`: pieces (c,m), the root of each point.
extern "C" __global__ void find_roots(int *parents, int m, i64 *pieces)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const i64 first = (i64)blockIdx.y * m;
    pieces[first + i] = root_of(parents + first, i);
}
