#include "actions.h"

#include <stdint.h>
#include <string.h>

#include "esp_log.h"
#include "sdkconfig.h"
#include "shrew.h"
#if !CONFIG_IDF_TARGET_LINUX
#include "driver/gpio.h"
#include "driver/ledc.h"
#endif

ESP_EVENT_DEFINE_BASE(SHREW_COMMAND);

typedef enum action_kind {
    ACTION_LEVEL, /* sets the level of pin to value */
    ACTION_DUTY,  /* sets the duty cycle of pin to value percent */
    ACTION_EVENT  /* posts an event; value is its id, not 0 */
} action_kind;

typedef struct action {
    const char *command;
    action_kind kind;
    int pin; /* negative: nothing is connected, and the command is only reported */
    int value;
} action;

/* Change this table: list the commands of your corpus (`Do:`) and the pins that they control. These are the commands of
 * the model `desk` for a lamp and a fan; its other commands are events. */
static const action actions[] = {
    {"led on", ACTION_LEVEL, CONFIG_SHREW_LIGHT_PIN, 1},
    {"led off", ACTION_LEVEL, CONFIG_SHREW_LIGHT_PIN, 0},
    {"led brightness 10", ACTION_DUTY, CONFIG_SHREW_LIGHT_PIN, 10},
    {"led brightness 25", ACTION_DUTY, CONFIG_SHREW_LIGHT_PIN, 25},
    {"led brightness 50", ACTION_DUTY, CONFIG_SHREW_LIGHT_PIN, 50},
    {"led brightness 75", ACTION_DUTY, CONFIG_SHREW_LIGHT_PIN, 75},
    {"led brightness 100", ACTION_DUTY, CONFIG_SHREW_LIGHT_PIN, 100},
    {"fan on", ACTION_LEVEL, CONFIG_SHREW_FAN_PIN, 1},
    {"fan off", ACTION_LEVEL, CONFIG_SHREW_FAN_PIN, 0},
    {"beep", ACTION_EVENT, -1, 1},
};

#if CONFIG_IDF_TARGET_LINUX

static void set_level(int pin, int level) {
    ESP_LOGI("actions", "pin %d: %d", pin, level);
}

static void set_duty(int pin, int percent) {
    ESP_LOGI("actions", "pin %d: %d %%", pin, percent);
}

#else

/* Each pin with a duty cycle has its own channel. */
static int channel_pins[LEDC_CHANNEL_MAX];
static int channels;

static void set_level(int pin, int level) {
    gpio_reset_pin((gpio_num_t)pin);
    gpio_set_direction((gpio_num_t)pin, GPIO_MODE_OUTPUT);
    gpio_set_level((gpio_num_t)pin, (uint32_t)level);
}

static void set_duty(int pin, int percent) {
    int channel = 0;
    while (channel < channels && channel_pins[channel] != pin)
        channel++;
    if (channel == LEDC_CHANNEL_MAX)
        return;
    if (channel == channels)
        channel_pins[channels++] = pin;
    const ledc_timer_config_t timer = {.speed_mode = LEDC_LOW_SPEED_MODE,
                                       .duty_resolution = LEDC_TIMER_10_BIT,
                                       .timer_num = LEDC_TIMER_0,
                                       .freq_hz = 5000,
                                       .clk_cfg = LEDC_AUTO_CLK};
    const ledc_channel_config_t output = {.gpio_num = pin,
                                          .speed_mode = LEDC_LOW_SPEED_MODE,
                                          .channel = (ledc_channel_t)channel,
                                          .timer_sel = LEDC_TIMER_0,
                                          .duty = (uint32_t)(1023 * percent / 100)};
    ledc_timer_config(&timer);
    ledc_channel_config(&output);
}

#endif

void fw_actions_start(void) {
    esp_event_loop_create_default(); /* shared with the web server and Wi-Fi */
}

static void post(int id, const char *command, size_t bytes) {
    char text[SHREW_MAX_COMMAND_BYTES + 1];
    memcpy(text, command, bytes);
    text[bytes] = 0;
    ESP_LOGI("actions", "%s: event %d", text, id);
    esp_event_post(SHREW_COMMAND, id, text, bytes + 1, 0);
}

void fw_actions_run(const char *command, size_t bytes) {
    if (bytes > SHREW_MAX_COMMAND_BYTES)
        return;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        const action *a = &actions[i];
        if (strlen(a->command) != bytes || memcmp(a->command, command, bytes))
            continue;
        if (a->kind == ACTION_EVENT)
            post(a->value, command, bytes);
        else if (a->pin < 0)
            ESP_LOGI("actions", "%s: no pin is set for it", a->command);
        else if (a->kind == ACTION_LEVEL)
            set_level(a->pin, a->value);
        else
            set_duty(a->pin, a->value);
        return;
    }
    post(0, command, bytes);
}
