/* Converts the header of a slot, which slots.h specifies, between bytes and a record. */
#ifndef SHREW_SLOTS_RECORD_H
#define SHREW_SLOTS_RECORD_H

#include "slots.h"

void fw_slots_record_pack(const slots_record *record, uint8_t header[SLOTS_HEADER_BYTES]);

/* The record is not present if the bytes are not a valid header, or the image does not fit the slot. */
slots_record fw_slots_record_unpack(const uint8_t header[SLOTS_HEADER_BYTES], uint32_t room);

#endif
