/* Memory for the model that answers: its session, copies of its tensors, an image from a card.
 *
 * It is taken from the heap once and never given back, so a load finds exactly what the load before it found: whatever
 * else the heap has handed out since cannot split it. Taking moves a mark forward; only all of it together becomes free
 * again. Pure data; the caller holds a lock. */
#ifndef SHREW_ARENA_H
#define SHREW_ARENA_H

#include <stddef.h>

enum { ARENA_PIECES = 8, ARENA_ALIGNMENT = 64 }; /* bytes: what is taken starts at a multiple, if its piece does */

typedef enum arena_kind { ARENA_SRAM, ARENA_PSRAM } arena_kind;

typedef struct arena_piece {
    unsigned char *memory;
    size_t bytes, used; /* multiples of ARENA_ALIGNMENT */
    arena_kind kind;
} arena_piece;

typedef struct arena {
    arena_piece pieces[ARENA_PIECES];
    size_t count;
} arena;

/* Adds a piece of the heap, less what exceeds a multiple of ARENA_ALIGNMENT; 0 where there are too many already. */
int fw_arena_add(arena *arena, void *memory, size_t bytes, arena_kind kind);

/* From the piece of this kind in which least is left over; NULL where none has room. */
void *fw_arena_take(arena *arena, size_t bytes, arena_kind kind);

/* All that was taken is free again. */
void fw_arena_clear(arena *arena);

/* Bytes of a kind: all of them, and those that are left, which may lie in several pieces. */
size_t fw_arena_bytes(const arena *arena, arena_kind kind);
size_t fw_arena_left(const arena *arena, arena_kind kind);

#endif
