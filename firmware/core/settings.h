/* The settings, which a device keeps when it is switched off. */
#ifndef SHREW_SETTINGS_H
#define SHREW_SETTINGS_H

#include "protocol.h"

enum {
    SETTINGS_TOKEN_BYTES = 20,    /* 100 bits of entropy */
    SETTINGS_PASSWORD_BYTES = 12, /* 60 bits of entropy: for the device's own access point */
    SETTINGS_SSID_BYTES = 32,
    SETTINGS_WIFI_BYTES = 64, /* longest password of a network */
    SETTINGS_RANDOM_BYTES = SETTINGS_TOKEN_BYTES + SETTINGS_PASSWORD_BYTES,
    SETTINGS_PACKED_BYTES = 256
};

typedef struct settings {
    options defaults;
    char token[SETTINGS_TOKEN_BYTES + 1];
    char password[SETTINGS_PASSWORD_BYTES + 1]; /* of the access point */
    char ssid[SETTINGS_SSID_BYTES + 1];         /* the network to join; empty: be an access point */
    char wifi_password[SETTINGS_WIFI_BYTES + 1];
    char model[PROTOCOL_NAME_BYTES + 1]; /* the model loaded last; empty: the newest */
} settings;

/* Makes the settings of a first boot. random: SETTINGS_RANDOM_BYTES from a cryptographic source. */
void fw_settings_make(settings *settings, const uint8_t *random);

/* Writes count characters and a NUL. The alphabet has 32 characters without look-alikes; each uses five bits of one
 * random byte. */
void fw_settings_make_secret(char *secret, const uint8_t *random, size_t count);

/* Settings as bytes: a version, the fields, a CRC-32. */
void fw_settings_pack(const settings *settings, uint8_t packed[SETTINGS_PACKED_BYTES]);

/* Returns 1, or 0 if these are not complete, valid settings of this version; then *settings is not changed. */
int fw_settings_unpack(settings *settings, const void *packed, size_t bytes);

/* Apply the bodies of PUT /api/settings and PUT /api/wifi, and modify the text. Nothing is set unless all is valid. */
protocol_code fw_settings_change(settings *settings, char *text, size_t bytes, protocol_error *error);
protocol_code fw_settings_change_wifi(settings *settings, char *text, size_t bytes, protocol_error *error);

/* Also used by the console. An empty ssid forgets the network. A password is empty, 8 to 63 bytes, or 64 hex digits. */
protocol_code fw_settings_set_wifi(settings *settings, const char *ssid, size_t ssid_bytes, const char *password,
                                   size_t password_bytes, protocol_error *error);

#endif
