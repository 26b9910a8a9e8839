/* The header of a slot, as slots.h lays it out, between bytes and a record. */
#ifndef SHREW_SLOTS_RECORD_H
#define SHREW_SLOTS_RECORD_H

#include "slots.h"

void fw_slots_record_pack(const slots_record *record, uint8_t header[SLOTS_HEADER_BYTES]);

/* Not present where these bytes are no header of an image that the slot has room for. */
slots_record fw_slots_record_unpack(const uint8_t header[SLOTS_HEADER_BYTES], uint32_t room);

#endif
