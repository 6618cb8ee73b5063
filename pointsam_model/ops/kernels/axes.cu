// Principal axes of the neighbours of each place: one thread a place, all sums in double precision.
//
// Eigenvalues are in closed form (Smith, 1961), the axis of the least by cross products, as in axes.py.
// Only operations that round alike everywhere are used: acos and cos do not, and cos needs a stack.

#define LEAST 1e-30  // a radius or an axis below it counts as zero

// cos(acos(at) / 3) for `at` from 0 to 1: there the root of 4 c^3 - 3 c = at, by Newton's steps. The
// first guess is off by less than 0.01, and each step squares that.
__device__ inline double cosine_of_third(double at)
{
    double c = 0.8660254037844386 + 0.1339745962155614 * at;
    for (int step = 0; step < 4; ++step) c -= ((4 * c * c - 3) * c - at) / (12 * c * c - 3);
    return c;
}

struct Axis {
    double x, y, z, squared;
};

__device__ inline Axis axis_of(double x, double y, double z)
{
    return {x, y, z, x * x + y * y + z * z};
}

// points (v,3); neighbours (m,k): rows of points, k at least 1. normals (m,3), variances (m,3).
extern "C" __global__ void axes_of_neighbours(
    const float *points, const i64 *neighbours, int m, int k, float *normals, float *variances)
{
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const i64 *rows = neighbours + i * k;
    const float *first = points + 3 * rows[0];
    // Less the first neighbour before they widen: near each other they lose nothing by it.
    double mean_x = 0, mean_y = 0, mean_z = 0;
    for (int each = 0; each < k; ++each) {
        const float *at = points + 3 * rows[each];
        mean_x += (double)__fsub_rn(at[0], first[0]);
        mean_y += (double)__fsub_rn(at[1], first[1]);
        mean_z += (double)__fsub_rn(at[2], first[2]);
    }
    mean_x /= k;
    mean_y /= k;
    mean_z /= k;
    double xx = 0, yy = 0, zz = 0, xy = 0, xz = 0, yz = 0;
    for (int each = 0; each < k; ++each) {
        const float *at = points + 3 * rows[each];
        const double x = (double)__fsub_rn(at[0], first[0]) - mean_x;
        const double y = (double)__fsub_rn(at[1], first[1]) - mean_y;
        const double z = (double)__fsub_rn(at[2], first[2]) - mean_z;
        xx += x * x;
        yy += y * y;
        zz += z * z;
        xy += x * y;
        xz += x * z;
        yz += y * z;
    }
    // In units of the radius about the mean: eigenvalues are then from -2 to 2.
    const double mean = (xx + yy + zz) / k / 3;
    double a = xx / k - mean, b = yy / k - mean, c = zz / k - mean;
    xy /= k;
    xz /= k;
    yz /= k;
    const double off = xy * xy + xz * xz + yz * yz;
    const double radius = sqrt((a * a + b * b + c * c + 2 * off) / 6);
    const double unit = fmax(radius, LEAST);
    a /= unit;
    b /= unit;
    c /= unit;
    xy /= unit;
    xz /= unit;
    yz /= unit;
    const double determinant =
        a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz);
    // Of the matrix, or of its opposite, of which the determinant is not negative.
    const double cosine = cosine_of_third(fmin(fabs(determinant) / 2, 1.0));
    const double end = 2 * cosine;
    const double other_end = cosine + 1.7320508075688772 * sqrt(fmax(1 - cosine * cosine, 0.0));
    const double least = determinant < 0 ? -end : -other_end;
    const double most = determinant < 0 ? other_end : end;
    const double low = mean + radius * least, high = mean + radius * most;
    const double middle = fmax(3 * mean - high - low, low);
    variances[3 * i] = (float)fmax(low, 0.0);
    variances[3 * i + 1] = (float)fmax(middle, 0.0);
    variances[3 * i + 2] = (float)fmax(fmax(high, middle), 0.0);

    // Rows of what is left span the plane across the axis: their longest cross product is the surest.
    a -= least;
    b -= least;
    c -= least;
    Axis best = axis_of(xy * yz - xz * b, xz * xy - a * yz, a * b - xy * xy);
    const Axis second = axis_of(xy * c - xz * yz, xz * xz - a * c, a * yz - xy * xz);
    const Axis third = axis_of(b * c - yz * yz, yz * xz - xy * c, xy * yz - b * xz);
    if (second.squared > best.squared) best = second;
    if (third.squared > best.squared) best = third;
    const double norm = sqrt(best.squared);
    const bool some = norm > LEAST;
    normals[3 * i] = some ? (float)(best.x / norm) : 0.0f;
    normals[3 * i + 1] = some ? (float)(best.y / norm) : 0.0f;
    normals[3 * i + 2] = some ? (float)(best.z / norm) : 1.0f;
}
