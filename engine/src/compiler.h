/* Compiler extensions that the engine uses. Without them everything works, but is larger or slower. */
#ifndef SHREW_COMPILER_H
#define SHREW_COMPILER_H

/* FOR_SIZE: built with -Os. Chooses shorter, slower code with the same results. ONE_COPY: never inline this
 * function. */
#if defined(__OPTIMIZE_SIZE__)
enum { FOR_SIZE = 1 };
#define ONE_COPY __attribute__((noinline))
#else
enum { FOR_SIZE = 0 };
#define ONE_COPY
#endif

/* INLINE: always inline this function. UNROLLED: unrolls the loop that follows, which has a small constant count. */
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
