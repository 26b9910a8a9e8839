/* Settings as bytes, little-endian:
 *
 *     0  u32      version, 1
 *     4  u32 [5]  the first fields of shrew_sampling, as bits
 *    24  u32      max_tokens
 *    28  u8       token, password, ssid, wifi_password, model: each with its NUL, zeros behind it
 *   193  u8       how many more fields of shrew_sampling there are. Those that are missing keep their default
 *   194  u8 [2]   zeros
 *   196  u32 []   these fields, as bits, and zeros
 *   252  u32      CRC-32 of what is before */
#include <string.h>

#include "bytes.h"
#include "crc32.h"
#include "settings.h"

enum {
    VERSION = 1,
    STRINGS = 5,
    FIELDS = sizeof(shrew_sampling) / 4,
    FIRST_FIELDS = 5,
    MAX_TOKENS_AT = 24,
    STRINGS_AT = 28,
    MORE_FIELDS = 193,
    MORE_FIELDS_AT = 196, /* room for 14 */
    CRC_AT = SETTINGS_PACKED_BYTES - 4
};

typedef struct string {
    char *bytes;
    size_t room; /* with the NUL */
} string;

static void strings_of(settings *settings, string strings[STRINGS]) {
    const string all[STRINGS] = {
        {settings->token, sizeof settings->token},
        {settings->password, sizeof settings->password},
        {settings->ssid, sizeof settings->ssid},
        {settings->wifi_password, sizeof settings->wifi_password},
        {settings->model, sizeof settings->model},
    };
    memcpy(strings, all, sizeof all);
}

static size_t place_of_field(uint32_t field) {
    return field < FIRST_FIELDS ? 4 + 4 * field : MORE_FIELDS_AT + 4 * (field - FIRST_FIELDS);
}

static void write_u32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

void fw_settings_pack(const settings *kept, uint8_t packed[SETTINGS_PACKED_BYTES]) {
    settings copy = *kept;
    string strings[STRINGS];
    uint32_t fields[FIELDS];
    uint8_t *at = packed + STRINGS_AT;
    memset(packed, 0, SETTINGS_PACKED_BYTES);
    write_u32(packed, VERSION);
    memcpy(fields, &kept->defaults.sampling, sizeof fields);
    for (uint32_t i = 0; i < FIELDS; i++)
        write_u32(packed + place_of_field(i), fields[i]);
    write_u32(packed + MAX_TOKENS_AT, kept->defaults.max_tokens);
    strings_of(&copy, strings);
    for (int i = 0; i < STRINGS; i++) {
        memcpy(at, strings[i].bytes, fw_text_length(strings[i].bytes));
        at += strings[i].room;
    }
    packed[MORE_FIELDS] = FIELDS - FIRST_FIELDS;
    write_u32(packed + CRC_AT, shrew_crc32(0, packed, CRC_AT));
}

int fw_settings_unpack(settings *settings_out, const void *packed, size_t bytes) {
    const uint8_t *begin = packed, *at = begin + STRINGS_AT;
    settings read;
    string strings[STRINGS];
    uint32_t fields[FIELDS];
    if (bytes != SETTINGS_PACKED_BYTES || read_u32(begin) != VERSION ||
        read_u32(begin + CRC_AT) != shrew_crc32(0, begin, CRC_AT))
        return 0;
    memset(&read, 0, sizeof read);
    read.defaults = fw_options_default();
    memcpy(fields, &read.defaults.sampling, sizeof fields);
    const uint32_t stored = FIRST_FIELDS + (uint32_t)begin[MORE_FIELDS];
    for (uint32_t i = 0; i < FIELDS && i < stored; i++)
        fields[i] = read_u32(begin + place_of_field(i));
    memcpy(&read.defaults.sampling, fields, sizeof fields);
    read.defaults.max_tokens = read_u32(begin + MAX_TOKENS_AT);
    strings_of(&read, strings);
    for (int i = 0; i < STRINGS; i++) {
        memcpy(strings[i].bytes, at, strings[i].room);
        if (strings[i].bytes[strings[i].room - 1])
            return 0;
        at += strings[i].room;
    }
    if (!fw_options_are_valid(&read.defaults) || fw_text_length(read.token) != SETTINGS_TOKEN_BYTES ||
        fw_text_length(read.password) != SETTINGS_PASSWORD_BYTES)
        return 0;
    *settings_out = read;
    return 1;
}
