/* Learning merges. All words are stored in one array of symbols, one per byte, with a WORD_END before, between and
 * after them. A token of n bytes covers n symbols and stores its id in the first and the last, so the lengths of tokens
 * suffice to find both neighbours of a token. A position is the index of a token's first symbol; it stands for the pair
 * of that token and the next. Each pair has a count and a list of its positions; a heap finds the most frequent pair.
 * Merging a pair visits only its positions.
 *
 * Every merge makes a new string. As long as no merge has crossed two token boundaries, how the bytes between them are
 * split depends on those bytes alone. So only one pair can produce a given string. */
#include <string.h>

#include "bytes.h"
#include "hash.h"
#include "shrew_learn.h"
#include "tokenizer.h"

enum { WORD_END = 0xFFFF, MAX_TOKEN_BYTES = 255 };
#define NOWHERE 0xFFFFFFFFu

typedef struct token {
    uint32_t position, bytes; /* one place where it occurs */
} token;

typedef struct pair {
    uint16_t left, right;
    uint32_t count;       /* sum of the weights of its positions */
    uint32_t first, last; /* its positions */
    uint32_t place;       /* in the heap, or NOWHERE */
} pair;

typedef struct trainer {
    token *tokens;
    pair *pairs;
    uint32_t *pair_table;     /* indices of pairs, by left and right */
    uint32_t *heap;           /* indices of pairs; heap[i] comes before heap[2i + 1] and heap[2i + 2] */
    uint32_t *weights;        /* [symbols] how often the word occurs in the corpus */
    uint32_t *before, *after; /* [symbols] neighbours in the list of a pair's positions */
    uint16_t *symbols;
    uint8_t *bytes; /* [symbols] the words themselves */
    uint32_t pair_slots, pair_count, heap_count;
    uint32_t ties;
} trainer;

/* ---- Tokens --------------------------------------------------------------------------------------------------- */

static shrew_byte_span token_bytes(const trainer *state, uint32_t id) {
    return (shrew_byte_span){state->bytes + state->tokens[id].position, state->tokens[id].bytes};
}

/* ---- The heap of pairs ---------------------------------------------------------------------------------------- */

static int comes_before(const trainer *state, uint32_t one, uint32_t other) {
    const pair *a = state->pairs + one, *b = state->pairs + other;
    if (a->count != b->count)
        return a->count > b->count;
    if (state->ties == SHREW_TIES_IDS)
        return a->left != b->left ? a->left < b->left : a->right < b->right;
    const int order = shrew_compare_spans(token_bytes(state, a->left), token_bytes(state, b->left));
    return (order ? order : shrew_compare_spans(token_bytes(state, a->right), token_bytes(state, b->right))) > 0;
}

static void put_pair(trainer *state, uint32_t place, uint32_t index) {
    state->heap[place] = index;
    state->pairs[index].place = place;
}

static void move_up(trainer *state, uint32_t index) {
    uint32_t place = state->pairs[index].place;
    while (place > 0 && comes_before(state, index, state->heap[(place - 1) / 2])) {
        put_pair(state, place, state->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put_pair(state, place, index);
}

static void move_down(trainer *state, uint32_t index) {
    uint32_t place = state->pairs[index].place;
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= state->heap_count)
            break;
        if (child + 1 < state->heap_count && comes_before(state, state->heap[child + 1], state->heap[child]))
            child++;
        if (!comes_before(state, state->heap[child], index))
            break;
        put_pair(state, place, state->heap[child]);
        place = child;
    }
    put_pair(state, place, index);
}

static void push(trainer *state, uint32_t index) {
    state->pairs[index].place = state->heap_count++;
    move_up(state, index);
}

static uint32_t pop(trainer *state) {
    const uint32_t top = state->heap[0], last = state->heap[--state->heap_count];
    state->pairs[top].place = NOWHERE;
    if (state->heap_count > 0) {
        state->pairs[last].place = 0;
        move_down(state, last);
    }
    return top;
}

/* ---- Positions and their pairs -------------------------------------------------------------------------------- */

static uint32_t next_position(const trainer *state, uint32_t position) {
    return position + state->tokens[state->symbols[position]].bytes;
}

/* The position before this one in its word, or NOWHERE. */
static uint32_t previous_position(const trainer *state, uint32_t position) {
    const uint32_t id = state->symbols[position - 1];
    return id == WORD_END ? NOWHERE : position - state->tokens[id].bytes;
}

/* The pair at a position, new or known; NOWHERE at the end of a word and where the merged token would be too long. */
static uint32_t pair_at(trainer *state, uint32_t position) {
    const uint16_t left = state->symbols[position], right = state->symbols[next_position(state, position)];
    if (right == WORD_END || state->tokens[left].bytes + state->tokens[right].bytes > MAX_TOKEN_BYTES)
        return NOWHERE;
    for (uint32_t slot = mix_bits((uint32_t)left << 16 | right);; slot++) {
        uint32_t *entry = state->pair_table + (slot & (state->pair_slots - 1));
        if (*entry == EMPTY_SLOT) {
            *entry = state->pair_count++;
            state->pairs[*entry] = (pair){left, right, 0, NOWHERE, NOWHERE, NOWHERE};
            return *entry;
        }
        if (state->pairs[*entry].left == left && state->pairs[*entry].right == right)
            return *entry;
    }
}

/* Appends at the end, so lists stay nearly sorted by position. */
static void attach(trainer *state, uint32_t position) {
    const uint32_t index = pair_at(state, position);
    if (index == NOWHERE)
        return;
    pair *at = state->pairs + index;
    state->before[position] = at->last;
    state->after[position] = NOWHERE;
    if (at->last == NOWHERE)
        at->first = position;
    else
        state->after[at->last] = position;
    at->last = position;
    at->count += state->weights[position];
    if (at->place == NOWHERE)
        push(state, index);
    else
        move_up(state, index);
}

static void detach(trainer *state, uint32_t position) {
    const uint32_t index = pair_at(state, position);
    if (index == NOWHERE)
        return;
    pair *at = state->pairs + index;
    const uint32_t before = state->before[position], after = state->after[position];
    if (before == NOWHERE)
        at->first = after;
    else
        state->after[before] = after;
    if (after == NOWHERE)
        at->last = before;
    else
        state->before[after] = before;
    at->count -= state->weights[position];
    if (at->place != NOWHERE)
        move_down(state, index);
}

static void merge_at(trainer *state, uint32_t position, uint32_t result) {
    const uint32_t middle = next_position(state, position), end = next_position(state, middle);
    const uint32_t previous = previous_position(state, position);
    if (previous != NOWHERE)
        detach(state, previous);
    detach(state, position);
    if (state->symbols[end] != WORD_END)
        detach(state, middle);
    state->symbols[position] = state->symbols[end - 1] = (uint16_t)result;
    if (previous != NOWHERE)
        attach(state, previous);
    if (state->symbols[end] != WORD_END)
        attach(state, position);
}

static void merge_everywhere(trainer *state, uint32_t index, uint32_t result) {
    const pair *merged = state->pairs + index;
    while (merged->first != NOWHERE) {
        uint32_t position = merged->first;
        if (merged->left == merged->right) { /* in a run of equal tokens, merge from the left */
            uint32_t previous = previous_position(state, position);
            for (; previous != NOWHERE && state->symbols[previous] == merged->left;
                 previous = previous_position(state, position))
                position = previous;
        }
        merge_at(state, position, result);
    }
}

/* ---- Calls ---------------------------------------------------------------------------------------------------- */

typedef struct sizes {
    uint64_t symbols, pairs, pair_slots;
} sizes;

/* Each merge removes at least one token and creates at most two new pairs. Initially all pairs are pairs of bytes. */
static sizes measure_training(const shrew_word *words, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += words[i].bytes;
    const uint64_t pairs = 2 * bytes + (bytes < 65536 ? bytes : 65536);
    return (sizes){bytes + count + 1, pairs, table_slots(pairs)};
}

static uint64_t total_bytes(const sizes *size, uint32_t vocab) {
    return vocab * sizeof(token) + size->pairs * (sizeof(pair) + sizeof(uint32_t)) +
           size->pair_slots * sizeof(uint32_t) + size->symbols * (3 * sizeof(uint32_t) + sizeof(uint16_t) + 1);
}

size_t shrew_bpe_train_bytes(const shrew_word *words, size_t count, uint32_t vocab) {
    const sizes size = measure_training(words, count);
    const uint64_t bytes = total_bytes(&size, vocab);
    return size.pair_slots <= UINT32_MAX && bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

static void divide_memory(trainer *state, void *memory, const sizes *size, uint32_t vocab) {
    state->tokens = memory;
    state->pairs = (pair *)(void *)(state->tokens + vocab);
    state->pair_table = (uint32_t *)(void *)(state->pairs + size->pairs);
    state->pair_slots = (uint32_t)size->pair_slots;
    state->heap = state->pair_table + size->pair_slots;
    state->weights = state->heap + size->pairs;
    state->before = state->weights + size->symbols;
    state->after = state->before + size->symbols;
    state->symbols = (uint16_t *)(void *)(state->after + size->symbols);
    state->bytes = (uint8_t *)(state->symbols + size->symbols);
    memset(state->pair_table, 0xFF, state->pair_slots * sizeof *state->pair_table);
}

static int check_options(const shrew_bpe_options *options) {
    if (!options->byte_ids || options->vocab > SHREW_MAX_VOCAB || options->first > options->vocab ||
        options->ties > SHREW_TIES_IDS)
        return 0;
    for (uint32_t i = 0; i < 256; i++) {
        if (options->byte_ids[i] >= options->first)
            return 0;
        for (uint32_t j = 0; j < i; j++)
            if (options->byte_ids[j] == options->byte_ids[i])
                return 0;
    }
    return 1;
}

/* Checks that words lie inside the text, and that no pair's count can overflow. */
static int check_words(const shrew_word *words, size_t count, size_t text_bytes) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (words[i].start > text_bytes || words[i].bytes > text_bytes - words[i].start)
            return 0;
        total += (uint64_t)words[i].bytes * words[i].count;
        if (total > UINT32_MAX)
            return 0;
    }
    return 1;
}

static void read_words(trainer *state, const uint16_t *byte_ids, const uint8_t *text, const shrew_word *words,
                       size_t count) {
    uint32_t at = 0;
    state->symbols[at++] = WORD_END;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < words[i].bytes; j++, at++) {
            const uint8_t byte = text[words[i].start + j];
            state->bytes[at] = byte;
            state->symbols[at] = byte_ids[byte];
            state->tokens[byte_ids[byte]] = (token){at, 1};
            state->weights[at] = words[i].count;
        }
        state->symbols[at++] = WORD_END;
    }
    for (uint32_t position = 0; position < at; position++)
        if (state->symbols[position] != WORD_END)
            attach(state, position);
}

int shrew_bpe_train(const shrew_bpe_options *options, const void *text, size_t text_bytes, const shrew_word *words,
                    size_t count, void *memory, size_t memory_bytes, uint16_t *merges, size_t *merge_count) {
    if (!options || (!text && text_bytes) || (!words && count) || !memory || !merges || !merge_count ||
        !check_options(options) || !check_words(words, count, text_bytes))
        return SHREW_E_ARGUMENT;
    if ((uintptr_t)memory % sizeof(uint32_t))
        return SHREW_E_ALIGNMENT;
    const size_t needed = shrew_bpe_train_bytes(words, count, options->vocab);
    if (needed == SIZE_MAX || memory_bytes < needed)
        return SHREW_E_MEMORY;

    trainer state;
    memset(&state, 0, sizeof state);
    state.ties = options->ties;
    const sizes size = measure_training(words, count);
    divide_memory(&state, memory, &size, options->vocab);
    read_words(&state, options->byte_ids, text, words, count);

    const uint32_t min_count = options->min_count ? options->min_count : 1;
    uint32_t id = options->first;
    for (; id < options->vocab && state.heap_count > 0; id++) {
        const uint32_t index = pop(&state);
        const pair *best = state.pairs + index;
        if (best->count < min_count)
            break;
        state.tokens[id] = (token){best->first, state.tokens[best->left].bytes + state.tokens[best->right].bytes};
        *merges++ = best->left;
        *merges++ = best->right;
        merge_everywhere(&state, index, id);
    }
    *merge_count = id - options->first;
    return SHREW_OK;
}
