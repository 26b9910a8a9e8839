#include "serial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#if CONFIG_IDF_TARGET_LINUX

void fw_serial_start(void) {
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
}

int fw_serial_read(void) {
    unsigned char byte;
    const ssize_t got = read(STDIN_FILENO, &byte, 1);
    if (got == 1)
        return byte;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? SERIAL_NOTHING : SERIAL_END;
}

#else

#include "esp_err.h"
#include "soc/soc_caps.h"
#if CONFIG_ESP_CONSOLE_UART
#include "driver/uart.h"
#include "driver/uart_vfs.h"
#endif
#if SOC_USB_SERIAL_JTAG_SUPPORTED
#include "driver/usb_serial_jtag.h"
#include "driver/usb_serial_jtag_vfs.h"
#endif

enum { BUFFER_BYTES = 2048 };

void fw_serial_start(void) {
#if CONFIG_ESP_CONSOLE_UART
    ESP_ERROR_CHECK(uart_driver_install(CONFIG_ESP_CONSOLE_UART_NUM, BUFFER_BYTES, 0, 0, NULL, 0));
    uart_vfs_dev_use_driver(CONFIG_ESP_CONSOLE_UART_NUM);
#endif
#if SOC_USB_SERIAL_JTAG_SUPPORTED
    usb_serial_jtag_driver_config_t usb = {.tx_buffer_size = BUFFER_BYTES, .rx_buffer_size = BUFFER_BYTES};
    ESP_ERROR_CHECK(usb_serial_jtag_driver_install(&usb));
    usb_serial_jtag_vfs_use_driver();
#endif
}

int fw_serial_read(void) {
    unsigned char byte;
#if CONFIG_ESP_CONSOLE_UART
    if (uart_read_bytes(CONFIG_ESP_CONSOLE_UART_NUM, &byte, 1, 0) == 1)
        return byte;
#endif
#if SOC_USB_SERIAL_JTAG_SUPPORTED
    if (usb_serial_jtag_read_bytes(&byte, 1, 0) == 1)
        return byte;
#endif
    return SERIAL_NOTHING;
}

#endif
