/* Making and changing settings. settings_pack.c stores them. */
#include "settings.h"

#include <string.h>

#include "fields.h"

void fw_settings_make_secret(char *secret, const uint8_t *random, size_t count) {
    static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* without l, o, 0 and 1 */
    for (size_t i = 0; i < count; i++)
        secret[i] = alphabet[random[i] & 31];
    secret[count] = 0;
}

void fw_settings_make(settings *settings, const uint8_t *random) {
    memset(settings, 0, sizeof *settings);
    settings->defaults = fw_options_default();
    fw_settings_make_secret(settings->token, random, SETTINGS_TOKEN_BYTES);
    fw_settings_make_secret(settings->password, random + SETTINGS_TOKEN_BYTES, SETTINGS_PASSWORD_BYTES);
}

protocol_code fw_settings_change(settings *settings, char *text, size_t bytes, protocol_error *error) {
    fields found;
    options changed = settings->defaults;
    if (!fw_json_check(text, bytes))
        return fw_protocol_fail(error, PROTOCOL_JSON, NULL);
    json_reader reader = fw_json_read(text);
    fw_fields_read(&found, &reader, NULL, 0, 0);
    protocol_code code = fw_fields_refuse_others(&found, UINT32_MAX, error);
    if (!code)
        code = fw_fields_options(&found, &changed, error);
    if (!code)
        settings->defaults = changed;
    return code;
}

/* ---- Wi-Fi ------------------------------------------------------------------------------------------------------- */

static int is_hex(const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        const char lower = (char)(text[i] | 0x20);
        if (!(text[i] >= '0' && text[i] <= '9') && !(lower >= 'a' && lower <= 'f'))
            return 0;
    }
    return 1;
}

static void keep(char *kept, size_t room, const char *text, size_t bytes) {
    memset(kept, 0, room);
    memcpy(kept, text, bytes);
}

protocol_code fw_settings_set_wifi(settings *settings, const char *ssid, size_t ssid_bytes, const char *password,
                                   size_t password_bytes, protocol_error *error) {
    const int is_key = password_bytes == SETTINGS_WIFI_BYTES && is_hex(password, password_bytes);
    const int is_phrase = password_bytes >= 8 && password_bytes < SETTINGS_WIFI_BYTES;
    if (ssid_bytes > SETTINGS_SSID_BYTES)
        return fw_protocol_fail(error, PROTOCOL_VALUE, "ssid must be 0 to 32 bytes");
    if (password_bytes && !is_key && !is_phrase)
        return fw_protocol_fail(error, PROTOCOL_VALUE, "password must be empty, 8 to 63 bytes, or 64 hex digits");
    for (size_t i = 0; i < ssid_bytes + password_bytes; i++)
        if (!(i < ssid_bytes ? ssid[i] : password[i - ssid_bytes]))
            return fw_protocol_fail(error, PROTOCOL_VALUE, "ssid and password must have no zero byte");
    keep(settings->ssid, sizeof settings->ssid, ssid, ssid_bytes);
    keep(settings->wifi_password, sizeof settings->wifi_password, password, ssid_bytes ? password_bytes : 0);
    return PROTOCOL_OK;
}

protocol_code fw_settings_change_wifi(settings *settings, char *text, size_t bytes, protocol_error *error) {
    enum { SSID = OPTIONS, PASSWORD };
    static const char *const names[] = {"ssid", "password"};
    fields found;
    json_string ssid, password;
    if (!fw_json_check(text, bytes))
        return fw_protocol_fail(error, PROTOCOL_JSON, NULL);
    json_reader reader = fw_json_read(text);
    fw_fields_read(&found, &reader, names, 2, 0);
    protocol_code code = fw_fields_refuse_others(&found, 1 << SSID | 1 << PASSWORD, error);
    if (!code)
        code = fw_fields_text(&found, SSID, &ssid, error);
    if (!code)
        code = fw_fields_text(&found, PASSWORD, &password, error);
    if (!code)
        code = fw_settings_set_wifi(settings, ssid.bytes, ssid.count, password.bytes, password.count, error);
    return code;
}
