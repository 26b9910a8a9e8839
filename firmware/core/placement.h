/* Which memory holds each tensor of a model. Implements the rule of docs/PLANNER.md, so that a device follows its
 * plan. */
#ifndef SHREW_PLACEMENT_H
#define SHREW_PLACEMENT_H

#include "shrew.h"

enum { PLACEMENT_ALIGNMENT = 64 }; /* bytes; the size of a tensor is rounded up to it */

typedef enum placement { PLACEMENT_FLASH, PLACEMENT_SRAM, PLACEMENT_PSRAM } placement;

/* Bytes that a copy of the index-th tensor takes. */
size_t fw_placement_bytes(const shrew_model *model, uint32_t index);

/* memories: [model->tensors], in image order. sram, psram: bytes available for tensors; pass psram 0 if it is no faster
 * than flash. */
void fw_placement_choose(const shrew_model *model, size_t sram, size_t psram, placement *memories);

#endif
