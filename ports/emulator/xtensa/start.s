/* Start-up for the windowed ABI: vectors, stack, FPU, then main. A fault prints a line of text. */

    .section .vectors, "ax"
/* The window exceptions spill and fill the registers of callers; the order of the loads and stores follows from where
 * each frame's stack pointer can still be found. */
    .org 0x000
overflow4:
    s32e a0, a5, -16
    s32e a1, a5, -12
    s32e a2, a5, -8
    s32e a3, a5, -4
    rfwo
    .org 0x040
underflow4:
    l32e a0, a5, -16
    l32e a1, a5, -12
    l32e a2, a5, -8
    l32e a3, a5, -4
    rfwu
    .org 0x080
overflow8:
    s32e a0, a9, -16
    l32e a0, a1, -12
    s32e a1, a9, -12
    s32e a2, a9, -8
    s32e a3, a9, -4
    s32e a4, a0, -32
    s32e a5, a0, -28
    s32e a6, a0, -24
    s32e a7, a0, -20
    rfwo
    .org 0x0C0
underflow8:
    l32e a0, a9, -16
    l32e a1, a9, -12
    l32e a2, a9, -8
    l32e a7, a1, -12
    l32e a3, a9, -4
    l32e a4, a7, -32
    l32e a5, a7, -28
    l32e a6, a7, -24
    l32e a7, a7, -20
    rfwu
    .org 0x100
overflow12:
    s32e a0, a13, -16
    l32e a0, a1, -12
    s32e a1, a13, -12
    s32e a2, a13, -8
    s32e a3, a13, -4
    s32e a4, a0, -48
    s32e a5, a0, -44
    s32e a6, a0, -40
    s32e a7, a0, -36
    s32e a8, a0, -32
    s32e a9, a0, -28
    s32e a10, a0, -24
    s32e a11, a0, -20
    rfwo
    .org 0x140
underflow12:
    l32e a0, a13, -16
    l32e a1, a13, -12
    l32e a2, a13, -8
    l32e a11, a1, -12
    l32e a3, a13, -4
    l32e a4, a11, -48
    l32e a5, a11, -44
    l32e a6, a11, -40
    l32e a7, a11, -36
    l32e a8, a11, -32
    l32e a9, a11, -28
    l32e a10, a11, -24
    l32e a11, a11, -20
    rfwu
    .org 0x180
    .rept 10 /* interrupts and exceptions, 64 bytes apart: none is expected */
    j fault
    .balign 64
    .endr

    .section .literal.start, "ax"
    .balign 4
vectors_address: .long vectors_start
stack_address: .long stack_top - 64
running: .long 0x4000F /* PS: windowed, no interrupts, no exception under way */
main_address: .long main
fault_address: .long board_fault

    .section .text.start, "ax"
    .macro fresh_windows
    movi a2, 0
    wsr a2, windowbase
    rsync
    movi a2, 1
    wsr a2, windowstart
    rsync
    l32r a2, running
    wsr a2, ps
    rsync
    l32r a1, stack_address
    addi a2, a1, 48 /* the caller's stack pointer, where an overflow of this frame looks for it */
    addi a3, a1, -16
    s32i a2, a3, 4
    .endm

    .global _start
    .balign 4
_start:
    l32r a2, vectors_address
    wsr a2, vecbase
    movi a2, 1
    wsr a2, cpenable
    fresh_windows
    l32r a2, main_address
    callx8 a2
    or a3, a10, a10
    j exit

    .balign 4
fault:
    fresh_windows
    rsr a10, exccause
    rsr a11, epc1
    l32r a2, fault_address
    callx8 a2
    movi a3, 3

exit: /* with the code in a3 */
    movi a2, 1
    .byte 0x00, 0x51, 0x00 /* simcall, which this assembler does not know */
    j exit

    .section .text.board_write, "ax"
    .global board_write
    .balign 4
board_write: /* (text, bytes): simcall 4 writes to descriptor a3 */
    entry a1, 32
    or a5, a3, a3
    or a4, a2, a2
    movi a3, 1
    movi a2, 4
    .byte 0x00, 0x51, 0x00
    retw

    .section .text.board_cycles, "ax"
    .global board_cycles
    .balign 4
board_cycles:
    entry a1, 32
    rsr a2, ccount
    retw
