// One row of each occupied voxel: the point nearest to the mean of the voxel's points; ties: the lowest
// row. Voxels are found by hashing.
//
// A slot of the table holds the row of one of its voxel's points, whose coordinates say which voxel it
// is: no key is wide enough for every grid. Which of them it is, and in which slot a voxel ends up,
// depends on who comes first; what is computed for a voxel does not: means are sums of integers.

#define EMPTY (-1)
#define LARGEST_CELL 4611686018427387904.0  // 2^62
#define FRACTION 4294967296.0               // 2^32: parts of 2^31 points fit

struct Cell {
    double x, y, z;
};

__device__ inline Cell cell_of(const double *points, i64 row, double size)
{
    const Cell cell = {floor(points[3 * row] / size), floor(points[3 * row + 1] / size),
                       floor(points[3 * row + 2] / size)};
    return cell;
}

__device__ inline bool same_cell(Cell a, Cell b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

__device__ inline u64 mixed(u64 bits)
{
    bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccdull;
    bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53ull;
    return bits ^ bits >> 33;
}

__device__ inline u64 hash_of(Cell cell)
{
    // + 0.0: minus zero is the same cell as zero.
    const u64 x = (u64)__double_as_longlong(cell.x + 0.0);
    const u64 y = (u64)__double_as_longlong(cell.y + 0.0);
    const u64 z = (u64)__double_as_longlong(cell.z + 0.0);
    return mixed(mixed(mixed(x) ^ y) ^ z);
}

// Sums in fixed point: value * unit in whole numbers, and what that leaves in parts of 2^-32.
struct Voxel {
    i64 whole[3], part[3];
    i64 members;
    u64 nearest;
};

// The greatest power of two by which a sum of n coordinates, none above `greatest`, stays below 2^62.
__device__ inline double unit_of(double greatest, i64 n)
{
    int exponent;
    frexp(greatest * n, &exponent);
    return ldexp(1.0, 62 - exponent);
}

// points (n,3); table (slots,) of EMPTY, slots a power of two above n; voxels (slots,) zeros, nearest
// of all ones; slot_of (n,); greatest (1,): of all
// coordinates' magnitudes; too_large (1,) zero: set to 1 where a cell is beyond 2^62.
extern "C" __global__ void gather_voxels(
    const double *points, i64 n, double size, const double *greatest, i64 slots, int *table,
    Voxel *voxels, i64 *slot_of, int *too_large)
{
    const double unit = unit_of(*greatest, n);
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x) {
        const Cell cell = cell_of(points, i, size);
        if (!(fabs(cell.x) < LARGEST_CELL && fabs(cell.y) < LARGEST_CELL &&
              fabs(cell.z) < LARGEST_CELL)) {
            *too_large = 1;  // by whoever: the same value
            slot_of[i] = EMPTY;
            continue;
        }
        u64 slot = hash_of(cell) & (u64)(slots - 1);
        for (;; slot = (slot + 1) & (u64)(slots - 1)) {
            const int holder = atomicCAS(&table[slot], EMPTY, (int)i);
            if (holder == EMPTY || same_cell(cell_of(points, holder, size), cell)) break;
        }
        slot_of[i] = (i64)slot;
        for (int axis = 0; axis < 3; ++axis) {
            const double value = points[3 * i + axis] * unit;
            const double whole = floor(value);
            // Two's complement: a sum of unsigned numbers is that of the signed ones.
            atomicAdd((u64 *)&voxels[slot].whole[axis], (u64)(i64)whole);
            atomicAdd((u64 *)&voxels[slot].part[axis], (u64)(i64)((value - whole) * FRACTION));
        }
        atomicAdd((u64 *)&voxels[slot].members, 1ull);
    }
}

// The mean along an axis, from whole numbers and parts: the quotient is exact, and only what is left is
// rounded with it.
__device__ inline double mean_of(const Voxel &voxel, int axis, double unit)
{
    const i64 quotient = voxel.whole[axis] / voxel.members;
    const i64 left = voxel.whole[axis] - quotient * voxel.members;
    return ((double)quotient +
            ((double)left + (double)voxel.part[axis] / FRACTION) / (double)voxel.members) / unit;
}

// Lets each voxel's nearest point win: distances to the mean in single precision, then rows.
extern "C" __global__ void find_nearest_to_mean(
    const double *points, i64 n, const double *greatest, const i64 *slot_of, Voxel *voxels)
{
    const double unit = unit_of(*greatest, n);
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x) {
        if (slot_of[i] == EMPTY) continue;
        Voxel &voxel = voxels[slot_of[i]];
        const double x = points[3 * i] - mean_of(voxel, 0, unit);
        const double y = points[3 * i + 1] - mean_of(voxel, 1, unit);
        const double z = points[3 * i + 2] - mean_of(voxel, 2, unit);
        atomicMin(&voxel.nearest, near_key((float)(x * x + y * y + z * z), (u32)i));
    }
}

// kept (n,): 1 for the rows that won.
extern "C" __global__ void mark_nearest(
    i64 n, const i64 *slot_of, const Voxel *voxels, unsigned char *kept)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (i64)gridDim.x * blockDim.x)
        kept[i] = slot_of[i] != EMPTY && (u32)voxels[slot_of[i]].nearest == (u32)i;
}
