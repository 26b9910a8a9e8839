#include "terminal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "chat.h"
#include "commands.h"
#include "generate.h"
#include "serial.h"

enum { CANCEL_KEY = 3, BACKSPACE = 8, DELETE = 127, POLL_MS = 20, LINE_BYTES = PROTOCOL_MESSAGE_BYTES };

static uint32_t programs; /* the connection of lines that are messages */
static char line[LINE_BYTES + 1];
static size_t line_bytes;
static int is_too_long;

/* ---- Messages: a line that begins with a brace ---------------------------------------------------------------------- */

static void print_message(void *unused, const char *message, size_t bytes) {
    (void)unused;
    printf("%.*s\n", (int)bytes, message);
}

static int print_tokens(const queue_entry *entry, const char *bytes, size_t count) {
    enum { PIECE_BYTES = 128 };
    while (count) {
        char buffer[6 * PIECE_BYTES + 128];
        const size_t piece = text_whole_characters(bytes, count, PIECE_BYTES);
        text out = text_in(buffer, sizeof buffer);
        protocol_write_token(&out, entry->request.id, bytes, piece);
        print_message(NULL, out.bytes, out.used);
        bytes += piece;
        count -= piece;
    }
    return 0;
}

static void print_end(queue_entry *entry, const protocol_result *result, const protocol_error *error) {
    const uint32_t id = entry->request.id;
    generate_lock();
    generate_release(entry);
    generate_unlock();
    if (error)
        chat_fail(&id, error, print_message, NULL);
    else
        chat_done(id, result, print_message, NULL);
}

static const audience program = {.write = print_tokens, .finish = print_end};

/* ---- Lines ---------------------------------------------------------------------------------------------------------- */

static int is_message(void) {
    return line_bytes && line[0] == '{';
}

static void obey(void) {
    line[line_bytes] = 0;
    if (is_too_long)
        printf("a line has at most %d bytes\n", (int)LINE_BYTES);
    else if (is_message())
        chat_read(programs, line, line_bytes, print_message, NULL);
    else
        commands_run(line, line_bytes);
}

static void echo(const char *shown) {
    if (SERIAL_ECHOES && !is_message())
        fputs(shown, stdout);
}

/* 1 where the key ends a line. */
static int take_key(int key) {
    static int last;
    const int is_second_half = key == '\n' && last == '\r';
    last = key;
    if (is_second_half)
        return 0;
    if (key == '\r' || key == '\n')
        return 1;
    if (key == BACKSPACE || key == DELETE) {
        if (line_bytes) {
            echo("\b \b");
            while (--line_bytes && ((unsigned char)line[line_bytes] & 0xC0) == 0x80)
                ; /* all bytes of the character */
        }
        return 0;
    }
    if ((unsigned)key < ' ' && key != '\t')
        return 0;
    if (line_bytes == LINE_BYTES) {
        is_too_long = 1;
        return 0;
    }
    line[line_bytes++] = (char)key;
    echo((const char[]){(char)key, 0});
    return 0;
}

static void prompt(void) {
    if (SERIAL_ECHOES)
        fputs("> ", stdout);
    fflush(stdout);
}

static void run(void *unused) {
    (void)unused;
    int has_line = 0;
    prompt();
    for (;;) {
        const int key = has_line ? SERIAL_NOTHING : serial_read();
        if (key == SERIAL_END)
            break;
        if (key == CANCEL_KEY) {
            commands_cancel();
            line_bytes = 0;
        } else if (key != SERIAL_NOTHING) {
            has_line = take_key(key);
        }
        if (has_line && !commands_are_busy()) {
            echo("\n");
            obey();
            has_line = is_too_long = 0;
            line_bytes = 0;
            if (!commands_are_busy())
                prompt();
        } else if (key == SERIAL_NOTHING) {
            fflush(stdout);
            vTaskDelay(pdMS_TO_TICKS(POLL_MS));
        }
    }
    vTaskDelete(NULL);
}

void terminal_start(void) {
    serial_start();
    commands_start(prompt);
    programs = generate_connect(&program);
    xTaskCreate(run, "terminal", BOARD_STACK, NULL, BOARD_PRIORITY, NULL);
}
