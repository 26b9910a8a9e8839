/* The two model partitions, as flash for core/slots.h. */
#ifndef SHREW_FLASH_H
#define SHREW_FLASH_H

#include "core/slots.h"

/* Opens the flash. Both, one or none of the partitions `model_a` and `model_b` may exist. */
slots_flash fw_flash_open(void);

#endif
