#include "console.h"

#include <string.h>

#include "settings.h"

enum { MOST_WORDS = 4 }; /* one more than any command accepts */

/* The words of a line after the command's name. */
typedef struct words {
    const char *text[MOST_WORDS];
    size_t bytes[MOST_WORDS];
    uint32_t count;
} words;

static int is_word(const words *given, uint32_t index, const char *word) {
    return given->count > index && fw_text_equal(word, given->text[index], given->bytes[index]);
}

/* ---- Readers of arguments. Each returns 0 if they are wrong; then the command's usage is shown. ------------------ */

static int read_nothing(console_command *command, const words *given, text *error) {
    (void)command, (void)error;
    return !given->count;
}

static int read_word(console_command *command, const words *given, text *error) {
    (void)error;
    if (given->count != 1)
        return 0;
    command->text = given->text[0];
    command->text_bytes = given->bytes[0];
    return 1;
}

static int read_perhaps_word(console_command *command, const words *given, text *error) {
    return !given->count || read_word(command, given, error);
}

/* The text after `ask` reaches to the end of the line, where fw_console_read has put a NUL. */
static int read_text(console_command *command, const words *given, text *error) {
    (void)given, (void)error;
    return command->text_bytes > 0;
}

static int read_set(console_command *command, const words *given, text *error) {
    options any = fw_options_default();
    if (!given->count)
        command->verb = CONSOLE_SHOW;
    if (!given->count || given->count != 2)
        return !given->count;
    command->option = fw_option_named(given->text[0], given->bytes[0]);
    if (command->option == OPTIONS) {
        fw_text_add(error, "set: no default has the name ");
        fw_text_add_quoted(error, given->text[0], given->bytes[0]);
        fw_text_add(error, "; `set` alone lists them");
        return 0;
    }
    const int is_number = fw_decimal_read(given->text[1], given->bytes[1], &command->value) == given->bytes[1];
    if (is_number && fw_option_set(&any, command->option, &command->value) == OPTION_FITS)
        return 1;
    fw_text_add(error, "set: ");
    fw_text_add(error, fw_option_name(command->option));
    fw_text_add(error, " must be ");
    fw_text_add(error, fw_option_range(command->option));
    return 0;
}

static int read_wifi(console_command *command, const words *given, text *error) {
    if (is_word(given, 0, "forget") && given->count == 1)
        command->verb = CONSOLE_WIFI_FORGET;
    if (!is_word(given, 0, "join"))
        return !given->count || command->verb == CONSOLE_WIFI_FORGET;
    if (given->count < 2 || given->count > 3 || !given->bytes[1])
        return 0;
    settings checked;
    protocol_error defect;
    command->verb = CONSOLE_WIFI_JOIN;
    command->text = given->text[1];
    command->text_bytes = given->bytes[1];
    command->password = given->count == 3 ? given->text[2] : "";
    command->password_bytes = given->count == 3 ? given->bytes[2] : 0;
    if (!fw_settings_set_wifi(&checked, command->text, command->text_bytes, command->password, command->password_bytes,
                              &defect))
        return 1;
    fw_text_add(error, "wifi: ");
    fw_text_add(error, defect.line);
    return 0;
}

static int read_token(console_command *command, const words *given, text *error) {
    (void)error;
    if (is_word(given, 0, "new") && given->count == 1)
        command->verb = CONSOLE_TOKEN_NEW;
    return !given->count || command->verb == CONSOLE_TOKEN_NEW;
}

static int read_bench(console_command *command, const words *given, text *error) {
    (void)error;
    command->number = CONSOLE_BENCH_TOKENS;
    if (!given->count)
        return 1;
    decimal tokens;
    if (given->count != 1 || fw_decimal_read(given->text[0], given->bytes[0], &tokens) != given->bytes[0] ||
        !tokens.is_integer || tokens.is_negative || !tokens.integer || tokens.integer > PROTOCOL_MAX_TOKENS)
        return 0;
    command->number = (uint32_t)tokens.integer;
    return 1;
}

/* ---- The commands ------------------------------------------------------------------------------------------------ */

static const struct row {
    const char *name;
    console_verb verb;
    int (*read)(console_command *command, const words *given, text *error);
    const char *usage;
    const char *description;
} rows[] = {
    {"ask", CONSOLE_ASK, read_text, "ask TEXT", "asks the model; Ctrl-C ends the answer"},
    {"models", CONSOLE_MODELS, read_nothing, "models", "lists the stored models"},
    {"load", CONSOLE_LOAD, read_word, "load NAME", "makes a stored model the one that answers"},
    {"unload", CONSOLE_UNLOAD, read_nothing, "unload", "lets no model answer until the next load, or start"},
    {"set", CONSOLE_SET, read_set, "set [NAME VALUE]", "shows the defaults of an answer, or changes one"},
    {"status", CONSOLE_STATUS, read_nothing, "status", "memory, speed, model, network"},
    {"wifi", CONSOLE_WIFI, read_wifi, "wifi [join NAME [PASSWORD] | forget]", "shows, joins or forgets a network"},
    {"token", CONSOLE_TOKEN, read_token, "token [new]", "shows the access token, or makes a new one"},
    {"selftest", CONSOLE_SELFTEST, read_nothing, "selftest", "checks that the model computes what its maker saw"},
    {"bench", CONSOLE_BENCH, read_bench, "bench [TOKENS]", "measures prompt and answer, 64 tokens unless told"},
    {"restart", CONSOLE_RESTART, read_nothing, "restart", "starts the device again"},
    {"help", CONSOLE_HELP, read_perhaps_word, "help [COMMAND]", "this list, or a line of it"},
};

enum { ROWS = sizeof rows / sizeof *rows };

const char *fw_console_usage(size_t index) {
    return index < ROWS ? rows[index].usage : NULL;
}

const char *fw_console_description(size_t index) {
    return index < ROWS ? rows[index].description : NULL;
}

int fw_console_find(const char *word, size_t bytes) {
    for (int i = 0; i < ROWS; i++)
        if (fw_text_equal(rows[i].name, word, bytes))
            return i;
    return -1;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static int is_space(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Takes a word and replaces the character after it by a NUL. Returns the rest of the line; NULL if a quote is not
 * closed. */
static char *take_word(char *at, const char *end, const char **word, size_t *bytes) {
    const int quoted = *at == '"';
    char *last = at += quoted;
    while (last < end && (quoted ? *last != '"' : !is_space(*last)))
        last++;
    if (quoted && last == end)
        return NULL;
    *word = at;
    *bytes = (size_t)(last - at);
    char *next = last < end ? last + 1 : last;
    *last = 0;
    return next;
}

static char *skip_spaces(char *at, const char *end) {
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* Returns 0 if a quote is not closed. */
static int take_words(char *at, const char *end, words *given) {
    given->count = 0;
    for (at = skip_spaces(at, end); at < end && given->count < MOST_WORDS; at = skip_spaces(at, end)) {
        at = take_word(at, end, &given->text[given->count], &given->bytes[given->count]);
        if (!at)
            return 0;
        given->count++;
    }
    return 1;
}

int fw_console_read(console_command *command, char *line, size_t bytes, text *error) {
    char *end = line + bytes, *at = skip_spaces(line, end);
    const char *name;
    size_t name_bytes;
    words given = {.count = 0};
    while (end > at && is_space(end[-1]))
        end--;
    *end = 0;
    memset(command, 0, sizeof *command);
    if (at == end)
        return 0;
    at = take_word(at, end, &name, &name_bytes);
    const int row = at ? fw_console_find(name, name_bytes) : -1;
    if (row < 0) {
        fw_text_add(error, "no such command; `help` lists them, `ask TEXT` asks the model");
        return -1;
    }
    command->verb = rows[row].verb;
    if (command->verb == CONSOLE_ASK) {
        command->text = at = skip_spaces(at, end);
        command->text_bytes = (size_t)(end - at);
    } else if (!take_words(at, end, &given)) {
        fw_text_add(error, "a quote has no end");
        return -1;
    }
    if (rows[row].read(command, &given, error))
        return 0;
    if (!error->used) {
        fw_text_add(error, "usage: ");
        fw_text_add(error, rows[row].usage);
    }
    return -1;
}
