/* Copies of a model's tensors in memory that is faster than where its image lies, by the planner's rule. */
#ifndef SHREW_PLACING_H
#define SHREW_PLACING_H

#include "shrew.h"

typedef struct placed {
    size_t sram_bytes, psram_bytes; /* copied there */
} placed;

/* After the session got its memory. in_flash: whether the image lies there, else in memory. A tensor for which no piece
 * of the arena has room stays in the image. The copies live until fw_memory_clear. */
placed fw_placing_take(shrew_model *model, int in_flash);

#endif
