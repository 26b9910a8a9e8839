/* Settings as bytes, little-endian:
 *
 *     0  u32      version, 1
 *     4  f32 [4]  temperature, top_p, min_p, repetition_penalty
 *    20  u32 [2]  top_k, max_tokens
 *    28  u8       token, password, ssid, wifi_password, model: each with its NUL, zeros behind it
 *   193  u8       zeros
 *   252  u32      CRC-32 of what is before */
#include <string.h>

#include "bytes.h"
#include "crc32.h"
#include "settings.h"

enum { VERSION = 1, STRINGS = 5, CRC_AT = SETTINGS_PACKED_BYTES - 4 };

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

/* The bits of the numbers, in order. */
static void numbers_of(const options *options, uint32_t numbers[6]) {
    const float floats[] = {options->sampling.temperature, options->sampling.top_p, options->sampling.min_p,
                            options->sampling.repetition_penalty};
    memcpy(numbers, floats, sizeof floats);
    numbers[4] = options->sampling.top_k;
    numbers[5] = options->max_tokens;
}

static options options_of(const uint32_t numbers[6]) {
    float floats[4];
    memcpy(floats, numbers, sizeof floats);
    const options made = {
        .sampling = {.temperature = floats[0], .top_p = floats[1], .min_p = floats[2],
                     .repetition_penalty = floats[3], .top_k = numbers[4]},
        .max_tokens = numbers[5],
    };
    return made;
}

static uint8_t *write_u32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
    return out + 4;
}

void fw_settings_pack(const settings *kept, uint8_t packed[SETTINGS_PACKED_BYTES]) {
    settings copy = *kept;
    string strings[STRINGS];
    uint32_t numbers[6];
    memset(packed, 0, SETTINGS_PACKED_BYTES);
    uint8_t *at = write_u32(packed, VERSION);
    numbers_of(&kept->defaults, numbers);
    for (int i = 0; i < 6; i++)
        at = write_u32(at, numbers[i]);
    strings_of(&copy, strings);
    for (int i = 0; i < STRINGS; i++) {
        memcpy(at, strings[i].bytes, fw_text_length(strings[i].bytes));
        at += strings[i].room;
    }
    write_u32(packed + CRC_AT, shrew_crc32(0, packed, CRC_AT));
}

int fw_settings_unpack(settings *settings_out, const void *packed, size_t bytes) {
    const uint8_t *at = packed;
    settings read;
    string strings[STRINGS];
    uint32_t numbers[6];
    if (bytes != SETTINGS_PACKED_BYTES || read_u32(at) != VERSION ||
        read_u32(at + CRC_AT) != shrew_crc32(0, at, CRC_AT))
        return 0;
    at += 4;
    for (int i = 0; i < 6; i++, at += 4)
        numbers[i] = read_u32(at);
    memset(&read, 0, sizeof read);
    read.defaults = options_of(numbers);
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
