/* Memory for the loaded model: its session, copies of its tensors, an image from a card.
 *
 * It is taken from the heap once and never returned, so later heap allocations cannot fragment it: every load finds the
 * same memory as the one before. A bump allocator: everything is freed at once. Pure data; the caller holds a lock. */
#ifndef SHREW_ARENA_H
#define SHREW_ARENA_H

#include <stddef.h>

enum { ARENA_PIECES = 8, ARENA_ALIGNMENT = 64 }; /* bytes; allocations are aligned to it if their piece is */

typedef enum arena_kind { ARENA_SRAM, ARENA_PSRAM } arena_kind;

typedef struct arena_piece {
    unsigned char *memory;
    size_t bytes, used; /* both multiples of ARENA_ALIGNMENT */
    arena_kind kind;
} arena_piece;

typedef struct arena {
    arena_piece pieces[ARENA_PIECES];
    size_t count;
} arena;

/* Adds a piece of the heap, rounded down to a multiple of ARENA_ALIGNMENT. Returns 0 if there are too many already. */
int fw_arena_add(arena *arena, void *memory, size_t bytes, arena_kind kind);

/* Takes memory from the piece of this kind that it fills best. NULL if none has room. */
void *fw_arena_take(arena *arena, size_t bytes, arena_kind kind);

/* Frees everything that was taken. */
void fw_arena_clear(arena *arena);

/* Bytes of a kind in all, and bytes left, which may be spread over several pieces. */
size_t fw_arena_bytes(const arena *arena, arena_kind kind);
size_t fw_arena_left(const arena *arena, arena_kind kind);

#endif
