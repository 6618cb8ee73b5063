// Principal axes of sets of points from their moments: one thread a set, in double precision.
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

// moments (m,10): count, sums of x, y, z, of xx, yy, zz, xy, xz, yz. normals, variances (m,3).
extern "C" __global__ void axes_of_moments(
    const double *moments, int m, float *normals, float *variances)
{
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const double *of = moments + 10 * i;
    const double count = fmax(of[0], 1.0);
    const double x = of[1] / count, y = of[2] / count, z = of[3] / count;
    double a = of[4] / count - x * x, b = of[5] / count - y * y, c = of[6] / count - z * z;
    double xy = of[7] / count - x * y, xz = of[8] / count - x * z, yz = of[9] / count - y * z;
    // In units of the radius about the mean: eigenvalues are then from -2 to 2.
    const double mean = (a + b + c) / 3;
    a -= mean;
    b -= mean;
    c -= mean;
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
