// Runs a kernel's own source on a CPU: every thread of a block is a fibre, switched at barriers and
// warp operations. In front of a kernel's source, compiled as C++17 by g++ on Linux.
//
// Stricter than a chip: a barrier or a warp operation that some thread never reaches is an error, as
// is a lane outside of the mask that it gives. Shared memory is poisoned before each block. Fibres
// and blocks run in the order that `schedule` says (0 forwards, 1 backwards, above: shuffled), so that
// a missing barrier changes results. A fibre runs on until it waits: races within one stretch between
// barriers are not seen, nor is anything of a chip's memory ordering.
#pragma once
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __forceinline__ inline
// All shared variables lie in one section, which is kept per block.
#define __shared__ static __attribute__((section("block_shared")))
extern "C" char __start_block_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_block_shared[] __attribute__((weak, visibility("hidden")));

struct dim3 {
    unsigned x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
template <class T>
static inline T min(T a, T b) { return a < b ? a : b; }
template <class T>
static inline T max(T a, T b) { return a > b ? a : b; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {
constexpr size_t STACK = 64 * 1024;
constexpr int POISON = 0xff;  // NaN, or -1
constexpr long SPINS = 20000;

enum class Wait { nothing, spin, block, warp, gone };

struct Warp {
    unsigned mask = 0, arrived = 0;
    unsigned long long generation = 0;
    uint64_t given[32], taken[2][32];
};

struct Fibre {
    jmp_buf place;
    ucontext_t entry;
    bool entered = false;
    Wait wait = Wait::nothing;
    unsigned long long generation = 0;  // what it waits to be over
};

struct Block {
    dim3 index;
    std::vector<Fibre> fibres;
    std::vector<Warp> warps;
    std::vector<char> shared;
    unsigned at_barrier = 0, gone = 0;
    unsigned long long generation = 0;
};

static std::vector<std::unique_ptr<char[]>> stacks;
static Block *block;
static unsigned current;
static jmp_buf scheduler;
static ucontext_t scheduler_entry;
static std::string failure;
static void (*body)(void **);
static void **arguments;

// Back to the scheduler; returns when this fibre runs again.
static void leave(Wait wait)
{
    Fibre &fibre = block->fibres[current];
    fibre.wait = wait;
    if (_setjmp(fibre.place) == 0) _longjmp(scheduler, 1);
}

[[noreturn]] static void fail(const std::string &what)
{
    if (failure.empty())
        failure = what + " (block " + std::to_string(block->index.x) + "," +
                  std::to_string(block->index.y) + ", thread " + std::to_string(current) + ")";
    leave(Wait::gone);
    std::abort();
}

static void thread_main()
{
    body(arguments);
    ++block->gone;
    leave(Wait::gone);
}

// Every lane of the mask gives a value and gets those of all. The generations take turns with two
// arrays: a lane cannot be two ahead of another of its mask.
static const uint64_t *exchange(unsigned mask, uint64_t value)
{
    Warp &warp = block->warps[current / 32];
    const unsigned lane = current % 32;
    if (!(mask >> lane & 1)) fail("a warp operation by a lane that is not in its mask");
    if (warp.arrived != 0 && warp.mask != mask) fail("lanes of a warp operation give other masks");
    warp.mask = mask;
    warp.arrived |= 1u << lane;
    warp.given[lane] = value;
    const unsigned long long mine = warp.generation;
    if (warp.arrived == mask) {
        std::copy(warp.given, warp.given + 32, warp.taken[mine & 1]);
        warp.arrived = 0;
        ++warp.generation;
    } else {
        block->fibres[current].generation = mine;
        leave(Wait::warp);
    }
    return warp.taken[mine & 1];
}

static bool may_run(const Block &of, unsigned thread)
{
    const Fibre &fibre = of.fibres[thread];
    switch (fibre.wait) {
        case Wait::nothing:
        case Wait::spin: return true;
        case Wait::block: return of.generation != fibre.generation;
        case Wait::warp: return of.warps[thread / 32].generation != fibre.generation;
        default: return false;
    }
}

static size_t shared_size() { return __stop_block_shared - __start_block_shared; }

// Runs each fibre of the block that may run, up to where it waits. Whether one did more than spin.
static bool turn(Block &of, const std::vector<unsigned> &order, size_t stack)
{
    bool moved = false;
    block = &of;
    blockIdx = of.index;
    for (unsigned thread : order) {
        if (!failure.empty()) return true;
        if (!may_run(of, thread)) continue;
        Fibre &fibre = of.fibres[thread];
        current = thread;
        threadIdx = {thread, 0, 0};
        if (_setjmp(scheduler) == 0) {
            if (fibre.entered) _longjmp(fibre.place, 1);
            fibre.entered = true;
            getcontext(&fibre.entry);
            fibre.entry.uc_stack.ss_sp = stacks[stack + thread].get();
            fibre.entry.uc_stack.ss_size = STACK;
            fibre.entry.uc_link = nullptr;
            makecontext(&fibre.entry, thread_main, 0);
            setcontext(&fibre.entry);
        }
        moved |= of.fibres[thread].wait != Wait::spin;
    }
    return moved;
}

static void reset(Block &of, dim3 index, unsigned threads)
{
    of.index = index;
    of.fibres.assign(threads, Fibre());
    of.warps.assign((threads + 31) / 32, Warp());
    of.shared.assign(shared_size(), (char)POISON);
    of.at_barrier = of.gone = 0;
    of.generation = 0;
}

// Runs blocks at the same time until all are through.
static void run(std::vector<Block> &blocks, const std::vector<unsigned> &order)
{
    const unsigned threads = blockDim.x;
    while (stacks.size() < blocks.size() * threads) stacks.emplace_back(new char[STACK]);
    for (long spins = 0; failure.empty();) {
        bool moved = false;
        for (size_t each = 0; each < blocks.size() && failure.empty(); ++each) {
            Block &of = blocks[each];
            if (of.gone == threads) continue;
            std::copy(of.shared.begin(), of.shared.end(), __start_block_shared);
            bool stepped = true;
            while (stepped && failure.empty() && of.gone < threads) {
                stepped = false;
                for (unsigned thread = 0; thread < threads; ++thread)
                    if (may_run(of, thread)) stepped = true;
                if (stepped) {
                    stepped = turn(of, order, each * threads);
                    moved |= stepped;
                }
            }
            std::copy(__start_block_shared, __stop_block_shared, of.shared.begin());
        }
        if (std::all_of(blocks.begin(), blocks.end(),
                        [&](const Block &of) { return of.gone == threads; }))
            return;
        bool any = false;
        for (Block &of : blocks)
            for (unsigned thread = 0; thread < threads; ++thread) any |= may_run(of, thread);
        spins = moved ? 0 : spins + 1;
        if (failure.empty() && (!any || spins > SPINS))
            failure = "deadlock: threads wait for others that never come";
    }
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **values, std::index_sequence<I...>)
{
    kernel(*(typename std::remove_reference<A>::type *)values[I]...);
}

template <class... A>
static void call(void (*kernel)(A...), void **values)
{
    call(kernel, values, std::index_sequence_for<A...>());
}

template <class... A>
static int count_arguments(void (*)(A...)) { return sizeof...(A); }

static const char *launch(
    void (*entry)(void **), unsigned x, unsigned y, unsigned threads, int together, unsigned schedule,
    void **values)
{
    failure.clear();
    body = entry;
    arguments = values;
    blockDim = {threads, 1, 1};
    gridDim = {x, y, 1};
    std::vector<unsigned> order(threads), sequence(x * y);
    for (unsigned i = 0; i < threads; ++i) order[i] = i;
    for (unsigned i = 0; i < x * y; ++i) sequence[i] = i;
    std::mt19937 random(schedule);
    for (auto *each : {&order, &sequence}) {
        if (schedule == 1) std::reverse(each->begin(), each->end());
        if (schedule > 1) std::shuffle(each->begin(), each->end(), random);
    }
    std::vector<Block> blocks(together ? x * y : 1);
    for (unsigned i = 0; i < x * y && failure.empty(); ++i) {
        reset(blocks[together ? i : 0], {sequence[i] % x, sequence[i] / x, 0}, threads);
        if (!together) run(blocks, order);
    }
    if (together && x * y > 0) run(blocks, order);
    return failure.empty() ? nullptr : failure.c_str();
}
}  // namespace shim

#define SHIM_KERNEL(name)                                                                          \
    static void shim_body_##name(void **values) { shim::call(name, values); }                     \
    extern "C" int shim_arguments_##name() { return shim::count_arguments(name); }                \
    extern "C" const char *shim_launch_##name(unsigned x, unsigned y, unsigned threads,           \
                                              int together, unsigned schedule, void **values)     \
    {                                                                                              \
        return shim::launch(shim_body_##name, x, y, threads, together, schedule, values);         \
    }

// ---- what CUDA C++ knows by itself

static inline void __syncthreads()
{
    shim::Block &of = *shim::block;
    if (++of.at_barrier == blockDim.x) {
        of.at_barrier = 0;
        ++of.generation;
        return;
    }
    of.fibres[shim::current].generation = of.generation;
    shim::leave(shim::Wait::block);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu) { shim::exchange(mask, 0); }
static inline void __threadfence() {}
static inline void __nanosleep(unsigned) { shim::leave(shim::Wait::spin); }

template <class T>
static inline uint64_t shim_bits(T value)
{
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T>
static inline T shim_value(uint64_t bits)
{
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T>
static inline T __shfl_sync(unsigned mask, T value, int from)
{
    if (!(mask >> (from & 31) & 1)) shim::fail("a shuffle from a lane that is not in the mask");
    return shim_value<T>(shim::exchange(mask, shim_bits(value))[from & 31]);
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int flip)
{
    return __shfl_sync(mask, value, (int)(threadIdx.x % 32) ^ flip);
}
static inline unsigned __ballot_sync(unsigned mask, int yes)
{
    const uint64_t *values = shim::exchange(mask, yes != 0);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1 && values[lane]) votes |= 1u << lane;
    return votes;
}
static inline unsigned __reduce_max_sync(unsigned mask, unsigned value)
{
    const uint64_t *values = shim::exchange(mask, value);
    unsigned most = 0;
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) most = std::max(most, (unsigned)values[lane]);
    return most;
}

template <class T, class V>
static inline T atomicAdd(T *at, V value)
{
    const T old = *at;
    *at = (T)(old + value);
    return old;
}
template <class T>
static inline T atomicMax(T *at, T value)
{
    const T old = *at;
    *at = std::max(old, value);
    return old;
}
template <class T>
static inline T atomicMin(T *at, T value)
{
    const T old = *at;
    *at = std::min(old, value);
    return old;
}
template <class T>
static inline T atomicCAS(T *at, T expected, T value)
{
    const T old = *at;
    if (old == expected) *at = value;
    return old;
}

static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
static inline int __ffs(int bits) { return __builtin_ffs(bits); }
static inline unsigned __float_as_uint(float value) { return (unsigned)shim_bits(value); }
static inline int __float_as_int(float value) { return (int)shim_bits(value); }
static inline float __uint_as_float(unsigned bits) { return shim_value<float>(bits); }
static inline float __int_as_float(int bits) { return shim_value<float>((unsigned)bits); }
static inline double __longlong_as_double(long long bits) { return shim_value<double>((uint64_t)bits); }
static inline long long __double_as_longlong(double value) { return (long long)shim_bits(value); }
static inline unsigned __byte_perm(unsigned low, unsigned high, unsigned choice)
{
    const uint64_t both = (uint64_t)high << 32 | low;
    unsigned result = 0;
    for (int byte = 0; byte < 4; ++byte)
        result |= (unsigned)(both >> 8 * (choice >> 4 * byte & 7) & 255) << 8 * byte;
    return result;
}
// Compiled with -ffp-contract=off: each operation rounds by itself.
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
