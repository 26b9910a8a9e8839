#include "times_table.h"

enum { NAME_COLUMNS = 10, COLUMNS = 11 };

static const char *const phases[SHREW_PHASES] = {"",   "embed",    "qkv",  "attend", "out",
                                                 "up", "activate", "down", "head",   "choose"};

static void add_padded(text *out, const char *piece, size_t columns, int to_the_right) {
    const size_t bytes = fw_text_length(piece);
    if (!to_the_right)
        fw_text_add(out, piece);
    for (size_t i = bytes; i < columns; i++)
        fw_text_add(out, " ");
    if (to_the_right)
        fw_text_add(out, piece);
}

/* Microseconds per token as milliseconds with three decimals; a dash if there are no tokens. */
static void add_share(text *out, uint64_t us, uint64_t tokens) {
    char digits[32];
    text number = fw_text_in(digits, sizeof digits);
    const uint64_t each = tokens ? (us + tokens / 2) / tokens : 0;
    fw_text_add_integer(&number, (int64_t)(each / 1000));
    fw_text_add(&number, ".");
    for (uint32_t place = 100; place; place /= 10)
        fw_text_add_integer(&number, (int64_t)(each / place % 10));
    add_padded(out, tokens ? digits : "-", COLUMNS, 1);
}

static void add_row(text *out, const char *name, const shrew_times *spent, const uint64_t us[SHREW_TIMES_KINDS]) {
    add_padded(out, name, NAME_COLUMNS, 0);
    for (int kind = 0; kind < SHREW_TIMES_KINDS; kind++)
        add_share(out, us[kind], spent->tokens[kind]);
}

static uint64_t sum(const uint64_t *us) {
    uint64_t all = 0;
    for (int phase = 0; phase < SHREW_PHASES; phase++)
        all += us[phase];
    return all;
}

int fw_times_add_line(text *out, const shrew_times *spent, uint32_t index) {
    enum { PROMPT = SHREW_TIMES_PROMPT, ANSWER = SHREW_TIMES_ANSWER };
    if (!spent->tokens[PROMPT] && !spent->tokens[ANSWER])
        return 0;
    if (!index) {
        add_padded(out, "ms/token", NAME_COLUMNS, 0);
        add_padded(out, "prompt", COLUMNS, 1);
        add_padded(out, "answer", COLUMNS, 1);
    } else if (index < SHREW_PHASES) {
        const uint64_t us[] = {spent->by_phase[PROMPT][index], spent->by_phase[ANSWER][index]};
        add_row(out, phases[index], spent, us);
    } else if (index == SHREW_PHASES) {
        const uint64_t us[] = {sum(spent->by_phase[PROMPT]), sum(spent->by_phase[ANSWER])};
        add_row(out, "all", spent, us);
    } else {
        const uint32_t layer = index - SHREW_PHASES - 1;
        if (layer >= spent->layers)
            return 0;
        char name[16];
        text label = fw_text_in(name, sizeof name);
        fw_text_add(&label, "layer ");
        fw_text_add_integer(&label, layer);
        const uint64_t us[] = {spent->by_layer[PROMPT][layer], spent->by_layer[ANSWER][layer]};
        add_row(out, name, spent, us);
    }
    return 1;
}
