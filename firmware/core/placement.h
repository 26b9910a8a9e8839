/* In which memory each tensor of a model lives: the rule of docs/PLANNER.md, so that a device does what was planned. */
#ifndef SHREW_PLACEMENT_H
#define SHREW_PLACEMENT_H

#include "shrew.h"

enum { PLACEMENT_ALIGNMENT = 64 }; /* a tensor takes a multiple of it */

typedef enum placement { PLACEMENT_FLASH, PLACEMENT_SRAM, PLACEMENT_PSRAM } placement;

/* Bytes that the index-th tensor takes where it is copied to. */
size_t fw_placement_bytes(const shrew_model *model, uint32_t index);

/* memories: [model->tensors], in the order of the image. sram, psram: bytes left for tensors; psram 0 where it is no
 * faster than flash. */
void fw_placement_choose(const shrew_model *model, size_t sram, size_t psram, placement *memories);

#endif
