#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "esp_random.h"
#include "esp_system.h"

#include "board.h"
#include "clock.h"
#include "core/console.h"
#include "generate.h"
#include "models.h"
#include "nvs_settings.h"
#include "status.h"
#include "websocket.h"
#include "wifi.h"

static uint32_t connection;
static volatile int is_asking;
static void (*answered)(void);

/* ---- ask -------------------------------------------------------------------------------------------------------- */

static int print_text(const queue_entry *entry, const char *bytes, size_t count) {
    (void)entry;
    fwrite(bytes, 1, count, stdout);
    fflush(stdout);
    return 0;
}

static void print_end(queue_entry *entry, const protocol_result *result, const protocol_error *error) {
    fw_generate_lock();
    fw_generate_release(entry);
    fw_generate_unlock();
    if (error)
        printf("%s\n", error->line);
    else if (result->from_memory)
        printf("\n[%s: from memory, confidence %.2f, digest %08" PRIx32 "]\n", fw_protocol_reason_name(result->reason),
               (double)result->confidence, result->digest);
    else
        printf("\n[%s: %" PRIu32 " tokens, %.1f tokens/s, prompt %.1f tokens/s, seed %" PRIu64 ", digest %08" PRIx32
               "]\n",
               fw_protocol_reason_name(result->reason), result->tokens, (double)result->tok_per_s,
               (double)result->prompt_tok_per_s, result->seed, result->digest);
    is_asking = 0;
    answered();
}

static const audience person = {.write = print_text, .finish = print_end};

static void ask(const console_command *command) {
    const protocol_rules rules = fw_generate_rules();
    const protocol_request request = {.options = rules.defaults,
                                      .seed = rules.seed,
                                      .prompt = command->text,
                                      .prompt_bytes = command->text_bytes};
    uint32_t ahead;
    protocol_error error;
    is_asking = 1;
    if (!fw_generate_push(connection, &request, &ahead, &error))
        return;
    is_asking = 0;
    printf("%s\n", error.line);
}

int fw_commands_are_busy(void) {
    return is_asking;
}

void fw_commands_cancel(void) {
    protocol_result cancelled;
    if (!is_asking || !fw_generate_cancel(connection, 0, &cancelled))
        return; /* otherwise it ends by itself, at its next step */
    printf("[%s]\n", fw_protocol_reason_name(cancelled.reason));
    is_asking = 0;
}

/* ---- Models ------------------------------------------------------------------------------------------------------ */

static void print_models(void) {
    const models_view *view = fw_models_look();
    for (uint32_t i = 0; i < view->stored_count; i++)
        printf("%c %-*s %9" PRIu32 " bytes  %s\n", view->stored[i].active ? '*' : ' ', (int)PROTOCOL_NAME_BYTES,
               view->stored[i].name, view->stored[i].bytes, view->stored[i].place);
    if (!view->stored_count)
        printf("none: upload one on the page, or with shrew flash\n");
    fw_models_look_away();
}

static void load(const char *name) {
    protocol_error error;
    if (fw_models_load(name, &error)) {
        printf("%s\n", error.line);
        return;
    }
    fw_models_remember(name);
    fw_websocket_announce();
    fw_status_print();
}

static void unload(void) {
    protocol_error error;
    if (fw_models_unload(&error)) {
        printf("%s\n", error.line);
        return;
    }
    fw_websocket_announce();
    printf("no model answers until the next load, or start\n");
}

static void selftest(void) {
    static const char *const verdicts[] = {"the image has none", "passed", "FAILED: this build computes other tokens"};
    info_selftest verdict;
    protocol_error error;
    printf("self-test: %s\n", fw_models_selftest(&verdict, &error) ? error.line : verdicts[verdict]);
}

/* Feeds tokens, at_once per call. Returns tokens per second; 0 if they do not fit the context. */
static double feed(shrew_session *session, uint32_t tokens, uint32_t at_once) {
    uint16_t ids[SHREW_MAX_BLOCK] = {0};
    const uint64_t begun = clock_us();
    for (uint32_t done = 0; done < tokens;) {
        size_t used;
        if (shrew_session_feed(session, ids, tokens - done < at_once ? tokens - done : at_once, &used))
            return 0;
        done += (uint32_t)used;
    }
    return tokens * 1e6 / (double)(clock_us() - begun + 1);
}

/* Feeds half of the context as a prompt, then as much again one token at a time. Does not sample tokens, so the model's
 * end-of-text does not matter. */
static void bench(uint32_t tokens) {
    const models_view *view = fw_models_look();
    const uint32_t most = view->model ? view->model->context / 2 : 0;
    fw_models_look_away();
    if (tokens > most)
        tokens = most;
    shrew_session *session = fw_models_enter();
    if (!session) {
        printf("%s\n", fw_protocol_code_line(PROTOCOL_NO_MODEL));
        return;
    }
    shrew_session_reset(session);
    const double prompt = feed(session, tokens, SHREW_MAX_BLOCK), answer = feed(session, tokens, 1);
    shrew_session_reset(session);
    fw_models_leave();
    printf("%" PRIu32 " tokens as a prompt: %.1f tokens/s; %" PRIu32 " more, one by one: %.1f tokens/s\n", tokens,
           prompt, tokens, answer);
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

static void show(void) {
    const settings kept = fw_settings_now();
    for (int i = 0; i < OPTIONS; i++) {
        float number;
        uint32_t integer;
        if (fw_option_get(&kept.defaults, (option)i, &number, &integer))
            printf("%-18s %-10" PRIu32 " %s\n", fw_option_name((option)i), integer, fw_option_range((option)i));
        else
            printf("%-18s %-10g %s\n", fw_option_name((option)i), (double)number, fw_option_range((option)i));
    }
}

static void set(const console_command *command) {
    settings kept = fw_settings_begin();
    if (fw_option_set(&kept.defaults, command->option, &command->value) != OPTION_FITS) {
        fw_settings_drop();
        printf("%s is %s\n", fw_option_name(command->option), fw_option_range(command->option));
        return;
    }
    fw_settings_keep(&kept);
    fw_websocket_announce();
    show();
}

static void show_wifi(void) {
    const wifi_state state = fw_wifi_now();
    const settings kept = fw_settings_now();
    if (!state.mode)
        printf("this device has no Wi-Fi\n");
    else if (*state.mode == 'a')
        printf("access point %s, password %s, http://%s\n", state.ssid, kept.password, state.address);
    else
        printf("network %s, http://%s%s%s\n", state.ssid, state.address, state.name ? ", http://" : "",
               state.name ? state.name : "");
}

static void join(const console_command *command) {
    settings kept = fw_settings_begin();
    protocol_error error;
    const int forget = command->verb == CONSOLE_WIFI_FORGET;
    if (fw_settings_set_wifi(&kept, forget ? "" : command->text, forget ? 0 : command->text_bytes,
                             forget ? "" : command->password, forget ? 0 : command->password_bytes, &error)) {
        fw_settings_drop();
        printf("%s\n", error.line);
        return;
    }
    fw_settings_keep(&kept);
    if (!fw_wifi_now().mode)
        show_wifi();
    fw_wifi_restart();
}

static void show_token(int make_new) {
    if (make_new) {
        settings changed = fw_settings_begin();
        uint8_t random[SETTINGS_TOKEN_BYTES];
        esp_fill_random(random, sizeof random);
        fw_settings_make_secret(changed.token, random, SETTINGS_TOKEN_BYTES);
        fw_settings_keep(&changed);
    }
    const settings kept = fw_settings_now();
    printf("token %s\n", kept.token);
}

static void help(const console_command *command) {
    const int only = command->text_bytes ? fw_console_find(command->text, command->text_bytes) : -1;
    for (int i = only < 0 ? 0 : only; fw_console_usage((size_t)i); i++) {
        printf("%-24s %s\n", fw_console_usage((size_t)i), fw_console_description((size_t)i));
        if (only >= 0)
            break;
    }
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

void fw_commands_run(char *line, size_t bytes) {
    console_command command;
    char buffer[2 * PROTOCOL_LINE_BYTES];
    text error = fw_text_in(buffer, sizeof buffer);
    if (fw_console_read(&command, line, bytes, &error)) {
        printf("%s\n", error.bytes);
        return;
    }
    switch (command.verb) {
    case CONSOLE_NOTHING: break;
    case CONSOLE_ASK: ask(&command); break;
    case CONSOLE_MODELS: print_models(); break;
    case CONSOLE_LOAD: load(command.text); break;
    case CONSOLE_UNLOAD: unload(); break;
    case CONSOLE_SHOW: show(); break;
    case CONSOLE_SET: set(&command); break;
    case CONSOLE_STATUS: fw_status_print(); break;
    case CONSOLE_WIFI: show_wifi(); break;
    case CONSOLE_WIFI_JOIN:
    case CONSOLE_WIFI_FORGET: join(&command); break;
    case CONSOLE_TOKEN: show_token(0); break;
    case CONSOLE_TOKEN_NEW: show_token(1); break;
    case CONSOLE_SELFTEST: selftest(); break;
    case CONSOLE_BENCH: bench(command.number); break;
    case CONSOLE_RESTART: esp_restart(); break;
    case CONSOLE_HELP: help(&command); break;
    }
}

void fw_commands_start(void (*when_answered)(void)) {
    answered = when_answered;
    connection = fw_generate_connect(&person);
}
