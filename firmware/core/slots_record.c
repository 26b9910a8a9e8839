#include "slots_record.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"

enum {
    MAGIC = 0x4C534853, /* "SHSL" */
    VERSION = 1,
    CRC_AT = SLOTS_HEADER_BYTES - 4
};

static void write_u32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

void fw_slots_record_pack(const slots_record *record, uint8_t header[SLOTS_HEADER_BYTES]) {
    memset(header, 0, SLOTS_HEADER_BYTES);
    write_u32(header, MAGIC);
    write_u32(header + 4, VERSION);
    write_u32(header + 8, record->sequence);
    write_u32(header + 12, record->bytes);
    write_u32(header + 16, record->crc32);
    memcpy(header + 20, record->name, fw_text_length(record->name));
    write_u32(header + CRC_AT, shrew_crc32(0, header, CRC_AT));
}

slots_record fw_slots_record_unpack(const uint8_t header[SLOTS_HEADER_BYTES], uint32_t room) {
    slots_record record;
    memset(&record, 0, sizeof record);
    if (read_u32(header) != MAGIC || read_u32(header + 4) != VERSION ||
        read_u32(header + CRC_AT) != shrew_crc32(0, header, CRC_AT))
        return record;
    record.sequence = read_u32(header + 8);
    record.bytes = read_u32(header + 12);
    record.crc32 = read_u32(header + 16);
    memcpy(record.name, header + 20, PROTOCOL_NAME_BYTES);
    record.present = record.bytes <= room && fw_protocol_name_is_valid(record.name, fw_text_length(record.name));
    return record;
}
