// Connected pieces by union-find: of masks and of what is outside of them, all masks of an answer at
// once; and of points that edges join.
//
// Each point has a parent in its piece, a lower row or itself. Only a root is ever hung, and only under
// a lower row, so that the last root of a piece is its lowest row, whatever the order. For masks, a
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

// Makes one piece of those of two points.
__device__ inline void join(int *parents, int one, int other)
{
    int low = one, high = other;
    for (;;) {
        low = root_of(parents, low);
        high = root_of(parents, high);
        if (low == high) return;
        if (low > high) {
            const int swapped = low;
            low = high;
            high = swapped;
        }
        if (atomicCAS(parents + high, high, low) == high) return;
    }
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
        if (end != i && mask[end] == mask[i]) join(here, i, end);
    }
}

// start, end (e,): rows that each edge joins; cut (e,): only edges below `strictness` do, never NaN.
// parents (m,): at first each point's own row.
extern "C" __global__ void join_edges(
    const i64 *start, const i64 *end, const float *cut, i64 e, float strictness, int *parents)
{
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < e && cut[i] < strictness) join(parents, (int)start[i], (int)end[i]);
}

// After `join_linked` or `join_edges`: pieces (c,m), the root of each point.
extern "C" __global__ void find_roots(int *parents, int m, i64 *pieces)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const i64 first = (i64)blockIdx.y * m;
    pieces[first + i] = root_of(parents + first, i);
}
