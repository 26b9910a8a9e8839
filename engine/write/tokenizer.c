/* The section of a tokenizer, made of plain arrays. shrew_tokenizer_open reads it. */
#include "tokenizer.h"

#include "bytes.h"
#include "format.h"
#include "shrew_write.h"
#include "utf8.h"

#include <string.h>

enum { ALL_BYTE_IDS = 256 * 2 }; /* bytes of that array */

/* ---- Sorting in place ----------------------------------------------------------------------------------------- */

/* Items that can be compared and exchanged, by their places. */
typedef struct sortable {
    const shrew_tokenizer *tokenizer; /* of the characters */
    uint16_t *ids;                    /* of merges three each, of characters one */
    uint16_t *ranks;                  /* of merges, or NULL */
    int (*less)(const struct sortable *items, uint32_t a, uint32_t b);
    void (*swap)(const struct sortable *items, uint32_t a, uint32_t b);
} sortable;

static void sink(const sortable *items, uint32_t root, uint32_t count) {
    for (uint32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && items->less(items, child, child + 1))
            child++;
        if (!items->less(items, root, child))
            return;
        items->swap(items, root, child);
    }
}

/* A heap sort, which needs no memory and is never slow. */
static void sort(const sortable *items, uint32_t count) {
    for (uint32_t root = count / 2; root-- > 0;)
        sink(items, root, count);
    for (uint32_t last = count; last-- > 1;) {
        items->swap(items, 0, last);
        sink(items, 0, last);
    }
}

static void swap_ids(uint16_t *a, uint16_t *b) {
    const uint16_t kept = *a;
    *a = *b;
    *b = kept;
}

static int merge_is_less(const sortable *items, uint32_t a, uint32_t b) {
    const uint16_t *x = items->ids + (size_t)a * 3, *y = items->ids + (size_t)b * 3;
    return x[0] != y[0] ? x[0] < y[0] : x[1] < y[1];
}

static void swap_merges(const sortable *items, uint32_t a, uint32_t b) {
    for (size_t i = 0; i < 3; i++)
        swap_ids(items->ids + (size_t)a * 3 + i, items->ids + (size_t)b * 3 + i);
    if (items->ranks)
        swap_ids(items->ranks + a, items->ranks + b);
}

/* By their bytes, and tokens of the same bytes by their ids. */
static int character_is_less(const sortable *items, uint32_t a, uint32_t b) {
    const uint32_t x = items->ids[a], y = items->ids[b];
    const int order = shrew_compare_spans(shrew_piece(items->tokenizer, x), shrew_piece(items->tokenizer, y));
    return order ? order < 0 : x < y;
}

static void swap_characters(const sortable *items, uint32_t a, uint32_t b) {
    swap_ids(items->ids + a, items->ids + b);
}

/* ---- Arrays --------------------------------------------------------------------------------------------------- */

static size_t with_padding(size_t bytes) {
    return (size_t)shrew_aligned(bytes, TOKENIZER_ARRAY_ALIGNMENT);
}

static size_t starts_bytes(uint32_t vocab) {
    return (size_t)(vocab + PIECES_PER_START - 1) / PIECES_PER_START * 4;
}

static size_t all_pieces_bytes(const shrew_tokenizer_parts *parts) {
    size_t bytes = 0;
    for (uint32_t id = 0; id < parts->vocab; id++)
        bytes += parts->lengths[id];
    return bytes;
}

/* Pads the array of bytes that ends the section so far, and goes on behind it. Returns where it is. */
static uint8_t *end_array(uint8_t **end, size_t bytes) {
    uint8_t *array = *end;
    *end += with_padding(bytes);
    memset(array + bytes, 0, with_padding(bytes) - bytes);
    return array;
}

static uint8_t *put_array(uint8_t **end, const void *array, size_t bytes) {
    if (bytes)
        memcpy(*end, array, bytes);
    return end_array(end, bytes);
}

static uint8_t *put_starts(uint8_t **end, const shrew_tokenizer_parts *parts) {
    uint32_t start = 0;
    for (uint32_t id = 0; id < parts->vocab; start += parts->lengths[id++])
        if (id % PIECES_PER_START == 0)
            memcpy(*end + id / PIECES_PER_START * 4, &start, sizeof start);
    return end_array(end, starts_bytes(parts->vocab));
}

static void put_merges(uint8_t **end, const shrew_tokenizer_parts *parts) {
    const uint32_t count = parts->merge_count;
    sortable merges = {.less = merge_is_less, .swap = swap_merges};
    merges.ids = (uint16_t *)(void *)put_array(end, parts->merges, (size_t)count * MERGE_BYTES);
    if (parts->ranks)
        merges.ranks = (uint16_t *)(void *)put_array(end, parts->ranks, (size_t)count * 2);
    sort(&merges, count);
}

/* Whether text is looked up for this token: it is one character, and not the token of a byte. */
static int is_character(const shrew_tokenizer_parts *parts, shrew_byte_span piece, uint32_t id) {
    uint32_t code_point;
    if (!piece.count || shrew_read_character(piece.bytes, piece.count, &code_point) != piece.count)
        return 0;
    return !parts->byte_ids || piece.count > 1 || parts->byte_ids[piece.bytes[0]] != id;
}

/* The tokens of one character in the order of their bytes; of several for the same one, the first. Their number. */
static uint32_t put_characters(uint8_t **end, const shrew_tokenizer_parts *parts, const shrew_tokenizer *tokenizer) {
    sortable characters = {tokenizer, (uint16_t *)(void *)*end, NULL, character_is_less, swap_characters};
    uint32_t found = 0, kept = 0;
    for (uint32_t id = 0; parts->kind != SHREW_TOKENIZER_BPE && id < parts->vocab; id++)
        if (is_character(parts, shrew_piece(tokenizer, id), id))
            characters.ids[found++] = (uint16_t)id;
    sort(&characters, found);
    for (uint32_t i = 0; i < found; i++) {
        const shrew_byte_span piece = shrew_piece(tokenizer, characters.ids[i]);
        if (!kept || shrew_compare_spans(shrew_piece(tokenizer, characters.ids[kept - 1]), piece))
            characters.ids[kept++] = characters.ids[i];
    }
    end_array(end, (size_t)kept * 2);
    return kept;
}

/* ---- The section ---------------------------------------------------------------------------------------------- */

static void put_header(uint8_t *section, const shrew_tokenizer_parts *parts, uint32_t characters) {
    const uint32_t flags = (parts->space_prefix ? TOKENIZER_SPACE_PREFIX : 0) |
                           (parts->unicode ? TOKENIZER_UNICODE : 0) | (parts->ranks ? TOKENIZER_RANKS : 0) |
                           (parts->byte_ids ? TOKENIZER_BYTE_IDS : 0);
    const uint32_t numbers[] = {parts->kind | flags << 16, parts->vocab, (uint32_t)all_pieces_bytes(parts),
                                parts->merge_count, characters};
    const uint16_t tokens[] = {parts->bos, parts->eos, parts->pad, parts->unk, parts->prefix_count,
                               parts->suffix_count};
    memset(section, 0, TOKENIZER_HEADER_BYTES);
    memcpy(section, numbers, sizeof numbers);
    memcpy(section + sizeof numbers, tokens, sizeof tokens);
}

int shrew_write_tokenizer_room(const shrew_tokenizer_parts *parts, size_t *bytes) {
    if (!parts || !bytes || !parts->lengths || !parts->pieces || (parts->merge_count && !parts->merges) ||
        (parts->prefix_count && !parts->prefix) || (parts->suffix_count && !parts->suffix))
        return SHREW_E_ARGUMENT;
    if (parts->kind > SHREW_TOKENIZER_CHARACTER || parts->vocab < 1 || parts->vocab > SHREW_MAX_VOCAB ||
        parts->merge_count > TOKENIZER_MOST_MERGES)
        return SHREW_E_TOKENIZER;
    const size_t vocab = parts->vocab, merges = parts->merge_count;
    *bytes = TOKENIZER_HEADER_BYTES + with_padding(vocab) + starts_bytes(parts->vocab);
    *bytes += with_padding(all_pieces_bytes(parts)) + with_padding(merges * MERGE_BYTES);
    *bytes += (parts->ranks ? with_padding(merges * 2) : 0) + (parts->byte_ids ? ALL_BYTE_IDS : 0);
    *bytes += parts->kind == SHREW_TOKENIZER_BPE ? 0 : with_padding(vocab * 2);
    *bytes += with_padding((size_t)parts->prefix_count * 2) + with_padding((size_t)parts->suffix_count * 2);
    return SHREW_OK;
}

int shrew_write_tokenizer(const shrew_tokenizer_parts *parts, void *section, size_t capacity, size_t *bytes) {
    size_t room;
    const int status = shrew_write_tokenizer_room(parts, &room);
    if (status)
        return status;
    if (!section || !bytes)
        return SHREW_E_ARGUMENT;
    if ((uintptr_t)section % TOKENIZER_ARRAY_ALIGNMENT)
        return SHREW_E_ALIGNMENT;
    if (capacity < room)
        return SHREW_E_BUFFER;
    shrew_tokenizer tokenizer; /* what shrew_piece looks at */
    uint8_t *end = (uint8_t *)section + TOKENIZER_HEADER_BYTES;
    tokenizer.lengths = put_array(&end, parts->lengths, parts->vocab);
    tokenizer.starts = put_starts(&end, parts);
    tokenizer.pieces = put_array(&end, parts->pieces, all_pieces_bytes(parts));
    put_merges(&end, parts);
    if (parts->byte_ids)
        put_array(&end, parts->byte_ids, ALL_BYTE_IDS);
    put_header(section, parts, put_characters(&end, parts, &tokenizer));
    put_array(&end, parts->prefix, (size_t)parts->prefix_count * 2);
    put_array(&end, parts->suffix, (size_t)parts->suffix_count * 2);
    *bytes = (size_t)(end - (uint8_t *)section);
    return SHREW_OK;
}
