#include "arena.h"

int fw_arena_add(arena *arena, void *memory, size_t bytes, arena_kind kind) {
    if (arena->count == ARENA_PIECES)
        return 0;
    const size_t usable = bytes & ~(size_t)(ARENA_ALIGNMENT - 1);
    arena->pieces[arena->count++] = (arena_piece){.memory = memory, .bytes = usable, .kind = kind};
    return 1;
}

static size_t left_in(const arena_piece *piece) {
    return piece->bytes - piece->used;
}

void *fw_arena_take(arena *arena, size_t bytes, arena_kind kind) {
    arena_piece *tightest = NULL;
    for (arena_piece *piece = arena->pieces; piece < arena->pieces + arena->count; piece++)
        if (piece->kind == kind && left_in(piece) >= bytes && (!tightest || left_in(piece) < left_in(tightest)))
            tightest = piece;
    if (!tightest)
        return NULL;
    void *taken = tightest->memory + tightest->used;
    tightest->used += (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    return taken;
}

void fw_arena_clear(arena *arena) {
    for (size_t i = 0; i < arena->count; i++)
        arena->pieces[i].used = 0;
}

size_t fw_arena_bytes(const arena *arena, arena_kind kind) {
    size_t bytes = 0;
    for (size_t i = 0; i < arena->count; i++)
        bytes += arena->pieces[i].kind == kind ? arena->pieces[i].bytes : 0;
    return bytes;
}

size_t fw_arena_left(const arena *arena, arena_kind kind) {
    size_t bytes = 0;
    for (size_t i = 0; i < arena->count; i++)
        bytes += arena->pieces[i].kind == kind ? left_in(&arena->pieces[i]) : 0;
    return bytes;
}
