/* What the engine asks of compilers beyond C99. Without it everything works, only larger or slower. */
#ifndef SHREW_COMPILER_H
#define SHREW_COMPILER_H

/* Built for size (-Os): short code rather than quick, and the same results. ONE_COPY keeps a function from being copied
 * into its callers. */
#if defined(__OPTIMIZE_SIZE__)
enum { FOR_SIZE = 1 };
#define ONE_COPY __attribute__((noinline))
#else
enum { FOR_SIZE = 0 };
#define ONE_COPY
#endif

/* INLINE: a function that is copied into every caller. UNROLLED: before a loop with a small known count. */
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif
#if defined(__clang__)
#define UNROLLED _Pragma("unroll")
#elif defined(__GNUC__)
#define UNROLLED _Pragma("GCC unroll 16")
#else
#define UNROLLED
#endif

#endif
