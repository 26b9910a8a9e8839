#include "prompt_form.h"

#include "bytes.h"
#include "options.h"
#include "utf8.h"

#include <string.h>

enum { FORM_HEADER_BYTES = 4, FORM_PAIR_BYTES = 4 };

static uint32_t bytes_of_character(uint32_t c) {
    return c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
}

static int is_surrogate(uint32_t c) {
    return c >= 0xD800 && c < 0xE000;
}

/* A text never grows, because no replacement is longer than what it replaces. */
int shrew_prompt_form_check(const uint8_t *section, uint32_t size) {
    if (size < FORM_HEADER_BYTES || size != FORM_HEADER_BYTES + FORM_PAIR_BYTES * aligned_u16(section + 2))
        return SHREW_E_PROMPTS;
    if (aligned_u16(section) > SHREW_PROMPT_FLAGS)
        return SHREW_E_RESERVED;
    for (uint32_t at = FORM_HEADER_BYTES, before = 0x7F; at < size; at += FORM_PAIR_BYTES) {
        const uint32_t from = aligned_u16(section + at), to = aligned_u16(section + at + 2);
        if (from <= before || is_surrogate(from) || is_surrogate(to) ||
            bytes_of_character(to) > bytes_of_character(from))
            return SHREW_E_PROMPTS;
        before = from;
    }
    return SHREW_OK;
}

/* What a character becomes; 0: nothing. */
static uint32_t replacement(const uint8_t *section, uint32_t c) {
    uint32_t low = 0, high = aligned_u16(section + 2);
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const uint8_t *pair = section + FORM_HEADER_BYTES + FORM_PAIR_BYTES * (size_t)middle;
        if (aligned_u16(pair) == c)
            return aligned_u16(pair + 2);
        if (aligned_u16(pair) < c)
            low = middle + 1;
        else
            high = middle;
    }
    return c;
}

static int is_blank(uint32_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int is_mark(uint32_t c) {
    return c == '.' || c == '!' || c == '?' || c == ',' || c == ';' || c == ':';
}

static uint8_t *put_character(uint8_t *form, uint32_t c) {
    const uint32_t bytes = bytes_of_character(c);
    if (bytes == 3)
        *form++ = (uint8_t)(0xE0 | c >> 12);
    if (bytes == 2)
        *form++ = (uint8_t)(0xC0 | c >> 6);
    if (bytes == 3)
        *form++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    *form++ = (uint8_t)(bytes == 1 ? c : 0x80 | (c & 0x3F));
    return form;
}

size_t shrew_put_in_form(const uint8_t *section, const uint8_t *text, size_t bytes, uint8_t *form) {
    const uint32_t flags = aligned_u16(section);
    uint8_t *end = form;
    int blank = 0; /* blanks came before */
    for (size_t length; bytes; text += length, bytes -= length) {
        uint32_t c;
        length = shrew_read_character(text, bytes, &c);
        uint32_t now = c;
        if (c >= 0x80)
            now = replacement(section, c);
        else if (flags & SHREW_FOLD_CASE && c >= 'A' && c <= 'Z')
            now = c + ('a' - 'A');
        if (is_blank(now)) {
            blank = 1;
            continue;
        }
        if ((!now && c) || (flags & SHREW_DROP_MARKS && is_mark(now) && end > form && !blank && end[-1] == now))
            continue;
        if (blank && end > form)
            *end++ = ' ';
        blank = 0;
        if (now == c) {
            memcpy(end, text, length);
            end += length;
        } else {
            end = put_character(end, now);
        }
    }
    while (flags & SHREW_DROP_MARKS && end > form && (is_mark(end[-1]) || end[-1] == ' '))
        end--;
    return (size_t)(end - form);
}

int shrew_prompt_form(const void *section, size_t section_bytes, const void *text, size_t bytes, void *form,
                      size_t capacity, size_t *count) {
    if (!section || (!text && bytes) || (!form && capacity) || !count)
        return SHREW_E_ARGUMENT;
    if ((uintptr_t)section % 4)
        return SHREW_E_ALIGNMENT;
    if (section_bytes > UINT32_MAX)
        return SHREW_E_PROMPTS;
    const int status = shrew_prompt_form_check(section, (uint32_t)section_bytes);
    if (status)
        return status;
    if (capacity < bytes)
        return SHREW_E_BUFFER;
    *count = shrew_put_in_form(section, text, bytes, form);
    return SHREW_OK;
}
