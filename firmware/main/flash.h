/* The two model partitions as core's slots see them. */
#ifndef SHREW_FLASH_H
#define SHREW_FLASH_H

#include "core/slots.h"

/* The flash, where both, one or none of `model_a` and `model_b` may be there. */
slots_flash fw_flash_open(void);

#endif
