/* What a device keeps when it is switched off, besides models. */
#ifndef SHREW_SETTINGS_H
#define SHREW_SETTINGS_H

#include "protocol.h"

enum {
    SETTINGS_TOKEN_BYTES = 20,    /* 100 bits: guessed by nobody */
    SETTINGS_PASSWORD_BYTES = 12, /* 60 bits: of the device's own access point */
    SETTINGS_SSID_BYTES = 32,
    SETTINGS_WIFI_BYTES = 64, /* longest password of a network */
    SETTINGS_RANDOM_BYTES = SETTINGS_TOKEN_BYTES + SETTINGS_PASSWORD_BYTES,
    SETTINGS_PACKED_BYTES = 256
};

typedef struct settings {
    options defaults;
    char token[SETTINGS_TOKEN_BYTES + 1];
    char password[SETTINGS_PASSWORD_BYTES + 1]; /* of the access point */
    char ssid[SETTINGS_SSID_BYTES + 1];         /* of the network to join; empty: be an access point */
    char wifi_password[SETTINGS_WIFI_BYTES + 1];
    char model[PROTOCOL_NAME_BYTES + 1]; /* loaded last; empty: the newest */
} settings;

/* Those of a first boot. random: SETTINGS_RANDOM_BYTES from a source that nobody can guess. */
void fw_settings_make(settings *settings, const uint8_t *random);

/* count characters of an alphabet of 32 without look-alikes, five bits of each random byte, and a NUL. */
void fw_settings_make_secret(char *secret, const uint8_t *random, size_t count);

/* As bytes that any version of the firmware tells apart: a version, the fields, a CRC-32. */
void fw_settings_pack(const settings *settings, uint8_t packed[SETTINGS_PACKED_BYTES]);

/* 1, or 0 where these are not settings of this version, whole and in range; then *settings is untouched. */
int fw_settings_unpack(settings *settings, const void *packed, size_t bytes);

/* The bodies of PUT /api/settings and PUT /api/wifi, which they change. Nothing is set unless all of it is good. */
protocol_code fw_settings_change(settings *settings, char *text, size_t bytes, protocol_error *error);
protocol_code fw_settings_change_wifi(settings *settings, char *text, size_t bytes, protocol_error *error);

/* Also for the console: an empty ssid forgets the network; a password is empty, or 8 to 63 bytes, or 64 hex digits. */
protocol_code fw_settings_set_wifi(settings *settings, const char *ssid, size_t ssid_bytes, const char *password,
                                   size_t password_bytes, protocol_error *error);

#endif
