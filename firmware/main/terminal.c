#include "terminal.h"

#include <stdio.h>

#include "board.h"
#include "chat.h"
#include "clock.h"
#include "commands.h"
#include "core/line.h"
#include "generate.h"
#include "serial.h"
#include "tasks.h"

enum { CANCEL_KEY = 3, POLL_MS = 20, WATCH_EVERY_US = 1000000 };

static uint32_t programs; /* the connection for lines that are messages */
static line typed = {.echoes = SERIAL_ECHOES};

/* ---- Messages: a line that begins with a brace ------------------------------------------------------------------- */

static void print_message(void *unused, const char *message, size_t bytes) {
    (void)unused;
    printf("%s%.*s\n", fw_line_before_message(&typed), (int)bytes, message);
}

static char answer[CHAT_DONE_BYTES]; /* used by the answering task */

static int print_tokens(const queue_entry *entry, const char *bytes, size_t count) {
    enum { PIECE_BYTES = (sizeof answer - 128) / 6 };
    while (count) {
        const size_t piece = fw_text_whole_characters(bytes, count, PIECE_BYTES);
        text out = fw_text_in(answer, sizeof answer);
        fw_protocol_write_token(&out, entry->request.id, bytes, piece);
        print_message(NULL, out.bytes, out.used);
        bytes += piece;
        count -= piece;
    }
    return 0;
}

static void print_end(queue_entry *entry, const protocol_result *result, const protocol_error *error) {
    const uint32_t id = entry->request.id;
    fw_generate_lock();
    fw_generate_release(entry);
    fw_generate_unlock();
    if (error)
        fw_chat_fail(&id, error, print_message, NULL);
    else
        fw_chat_done(id, result, fw_text_in(answer, sizeof answer), print_message, NULL);
}

static const audience program = {.write = print_tokens, .finish = print_end};

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static void obey_message(void) {
    protocol_error error;
    if (typed.is_too_long) {
        fw_protocol_fail(&error, PROTOCOL_SIZE, NULL);
        fw_chat_fail(NULL, &error, print_message, NULL);
    } else {
        fw_chat_read(programs, typed.bytes, typed.count, print_message, NULL);
    }
}

static void prompt(void) {
    fputs(fw_line_prompt(&typed), stdout);
    fflush(stdout);
}

static void obey_person(void) {
    fputs(fw_line_newline(&typed), stdout);
    if (typed.is_too_long)
        printf("a line has at most %d bytes\n", (int)LINE_BYTES);
    else
        fw_commands_run(typed.bytes, typed.count);
    if (!fw_commands_are_busy())
        prompt();
}

static int take_key(int key) {
    char echo[LINE_ECHO_BYTES];
    const int has_ended = fw_line_take(&typed, key, echo);
    fputs(echo, stdout);
    return has_ended;
}

void fw_terminal_run(void) {
    int has_line = 0;
    uint64_t watched = clock_us();
    prompt();
    for (;;) {
        if (clock_us() - watched > WATCH_EVERY_US) {
            watched = clock_us();
            fw_tasks_watch();
        }
        const int key = has_line ? SERIAL_NOTHING : fw_serial_read();
        if (key == SERIAL_END)
            break;
        if (key == CANCEL_KEY) {
            fw_commands_cancel();
            fw_line_clear(&typed);
        } else if (key != SERIAL_NOTHING) {
            has_line = take_key(key);
        }
        if (has_line && !fw_commands_are_busy()) {
            if (fw_line_is_message(&typed))
                obey_message();
            else
                obey_person();
            fw_line_clear(&typed);
            has_line = 0;
        } else if (key == SERIAL_NOTHING) {
            fflush(stdout);
            vTaskDelay(pdMS_TO_TICKS(POLL_MS));
        }
    }
}

void fw_terminal_start(void) {
    fw_serial_start();
    fw_commands_start(prompt);
    programs = fw_generate_connect(&program);
}
