#include "question.h"

#include "shrew.h"

enum { FNV_PRIME = 16777619, SHORT_PIECE = 3, LONG_PIECE = 4 };

static const uint32_t fnv_basis = 2166136261u;

/* From the first byte that counts to behind the last byte of a word. */
typedef struct word_span {
    const uint8_t *start, *end;
} word_span;

/* Bytes inside a word that do not count, so that wi-fi is wifi, and what's is whats. */
static int is_silent(uint32_t byte) {
    return byte == '\'' || byte == '-' || byte == '_';
}

static int is_of_word(uint32_t byte) {
    const uint32_t letter = byte | 0x20;
    return byte >= 0x80 || (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || is_silent(byte);
}

/* 0 after the last word of the text, which starts at *text. */
static int next_word(const uint8_t **text, const uint8_t *end, word_span *word) {
    const uint8_t *at = *text;
    while (at < end && (!is_of_word(*at) || is_silent(*at)))
        at++;
    word->start = at;
    while (at < end && is_of_word(*at))
        at++;
    *text = word->end = at;
    return word->start < at;
}

static uint32_t hash_byte(uint32_t hash, uint32_t byte) {
    return (hash ^ byte) * FNV_PRIME;
}

static uint32_t hash_word(uint32_t hash, word_span word) {
    for (; word.start < word.end; word.start++)
        if (!is_silent(*word.start))
            hash = hash_byte(hash, *word.start);
    return hash;
}

static uint32_t feature_of(uint32_t hash) {
    return hash ^ hash >> 15;
}

/* The next character of the word's rest: its first byte, and those that continue it in UTF-8. */
static word_span take_character(word_span *rest) {
    word_span character = *rest;
    do
        rest->start++;
    while (rest->start < rest->end && (*rest->start & 0xC0) == 0x80);
    character.end = rest->start;
    while (rest->start < rest->end && is_silent(*rest->start))
        rest->start++;
    return character;
}

/* Hashes length characters of <word>, from a character of the word or from the bracket before it. 0 if there are fewer. */
static int hash_piece(word_span rest, int with_bracket, uint32_t length, uint32_t *hash) {
    *hash = fnv_basis;
    if (with_bracket) {
        *hash = hash_byte(*hash, '<');
        length--;
    }
    for (; length && rest.start < rest.end; length--)
        *hash = hash_word(*hash, take_character(&rest));
    if (length) {
        *hash = hash_byte(*hash, '>');
        length--;
    }
    return !length;
}

static void take_pieces(word_span word, uint32_t length, void (*take)(void *context, uint32_t feature),
                        void *context) {
    uint32_t hash;
    if (hash_piece(word, 1, length, &hash))
        take(context, feature_of(hash));
    for (; hash_piece(word, 0, length, &hash); take_character(&word))
        take(context, feature_of(hash));
}

void shrew_each_feature(const uint8_t *text, size_t bytes, void (*take)(void *context, uint32_t feature),
                        void *context) {
    if (!bytes)
        return;
    const uint8_t *const end = text + bytes;
    word_span word;
    while (next_word(&text, end, &word)) {
        take(context, feature_of(hash_word(hash_byte(fnv_basis, 'w'), word)));
        take_pieces(word, SHORT_PIECE, take, context);
        take_pieces(word, LONG_PIECE, take, context);
    }
}

typedef struct feature_list {
    uint32_t *features;
    size_t count, capacity;
} feature_list;

static void add_feature(void *context, uint32_t feature) {
    feature_list *list = context;
    if (list->count < list->capacity)
        list->features[list->count] = feature;
    list->count++;
}

int shrew_question_features(const void *text, size_t bytes, uint32_t *features, size_t capacity, size_t *count) {
    if ((!text && bytes) || (!features && capacity) || !count)
        return SHREW_E_ARGUMENT;
    feature_list list = {features, 0, capacity};
    shrew_each_feature(text, bytes, add_feature, &list);
    *count = list.count;
    return list.count <= capacity ? SHREW_OK : SHREW_E_BUFFER;
}
