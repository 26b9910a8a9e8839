/* Copies of a model's tensors in memory that is faster than where its image lies, by the planner's rule. */
#ifndef SHREW_PLACING_H
#define SHREW_PLACING_H

#include "shrew.h"

typedef struct placed {
    const void **places; /* [count], as shrew_model_place takes them; NULL: nothing was copied */
    uint32_t count;
    size_t sram_bytes, psram_bytes;
} placed;

/* After the session got its memory. in_flash: whether the image lies there, else in PSRAM. Where memory fails a tensor
 * stays in the image. */
placed fw_placing_take(shrew_model *model, int in_flash);

/* No session of the model may be left. */
void fw_placing_give(placed *copies);

#endif
