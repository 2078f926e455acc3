/* SPDX-License-Identifier: MIT */
/*
 * void umn__fiber_swap(void **save, void *sp): saves what a SysV callee keeps (six registers, mxcsr,
 * the x87 control word), stores the stack pointer in *save and goes on at sp. Every caller is a SysV
 * function; code with the Windows convention saves xmm6-15 around its calls of such functions.
 *
 * umn__fiber_first: where a new stack begins: r12 is the function, r13 its argument.
 */
    .text
    .globl umn__fiber_swap
    .hidden umn__fiber_swap
    .type umn__fiber_swap, @function
    .p2align 4
umn__fiber_swap:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size umn__fiber_swap, . - umn__fiber_swap

    .globl umn__fiber_first
    .hidden umn__fiber_first
    .type umn__fiber_first, @function
    .p2align 4
umn__fiber_first:
    .cfi_startproc
    .cfi_undefined rip
    movq %r13, %rdi
    xorl %ebp, %ebp
    call *%r12
    ud2
    .cfi_endproc
    .size umn__fiber_first, . - umn__fiber_first

    .section .note.GNU-stack, "", @progbits
