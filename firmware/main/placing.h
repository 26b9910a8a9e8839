/* Copies a model's tensors to memory that is faster than that of the image, by the planner's rule. */
#ifndef SHREW_PLACING_H
#define SHREW_PLACING_H

#include "shrew.h"

typedef struct placed {
    size_t sram_bytes, psram_bytes; /* bytes copied to each */
} placed;

/* Call after the session's memory has been taken. in_flash: 1 if the image is in flash, 0 if in memory. A tensor that
 * fits no piece of the arena stays in the image. The copies last until fw_memory_clear. */
placed fw_placing_take(shrew_model *model, int in_flash);

#endif
