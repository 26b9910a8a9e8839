/* Metadata: pairs of strings. The values of pairs with the key "stop" are the image's own stop strings. */
#include "metadata.h"

int shrew_metadata_check(const uint8_t *bytes, uint32_t size) {
    if (size < 4 || read_u32(bytes) > MAX_METADATA)
        return SHREW_E_METADATA;
    uint32_t left = size - 4;
    for (uint32_t count = read_u32(bytes), at = 4; count; count--) {
        if (left < 8)
            return SHREW_E_METADATA;
        const uint32_t key_bytes = read_u16(bytes + at), value_bytes = read_u32(bytes + at + 4);
        if (read_u16(bytes + at + 2))
            return SHREW_E_RESERVED;
        if (key_bytes > left - 8 || value_bytes > left - 8 - key_bytes)
            return SHREW_E_METADATA;
        if (!shrew_pair_is_valid(bytes + at + 8, key_bytes, value_bytes))
            return SHREW_E_METADATA;
        left -= 8 + key_bytes + value_bytes;
        at += 8 + key_bytes + value_bytes;
    }
    return left ? SHREW_E_METADATA : SHREW_OK;
}

int shrew_model_metadata(const shrew_model *model, uint32_t index, const char **key, size_t *key_bytes,
                         const char **value, size_t *value_bytes) {
    if (!model || !key || !key_bytes || !value || !value_bytes || !model->metadata)
        return SHREW_E_ARGUMENT;
    if (index >= read_u32(model->metadata))
        return SHREW_E_ARGUMENT;
    const uint8_t *at = model->metadata + 4;
    while (index--)
        at += 8 + read_u16(at) + read_u32(at + 4);
    *key = (const char *)(at + 8);
    *key_bytes = read_u16(at);
    *value = *key + *key_bytes;
    *value_bytes = read_u32(at + 4);
    return SHREW_OK;
}
