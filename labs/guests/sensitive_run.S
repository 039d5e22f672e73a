/*
 * How "sensitive" tries an instruction: run_kernel() calls it at CPL 0, run_user() through IRETQ at CPL 3. Both come
 * back at run_resume, by RET, by an exception, or by INT 0x2f: the trap handler sends every frame here.
 */
	.text
	.globl run_kernel, run_user, run_resume, try_syscall_entry
run_kernel:				/* rdi: function */
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, run_stack
	call *%rdi
run_resume:
	movl $0x10, %eax
	movl %eax, %ss
	movq run_stack, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	cld
	ret

run_user:				/* rdi: function, rsi: top of the user stack */
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, run_stack
	leaq user_return(%rip), %rax
	movq %rax, -8(%rsi)
	subq $8, %rsi
	pushq $0x23			/* SS: user data */
	pushq %rsi
	pushq $0x202			/* IF on, IOPL 0 */
	pushq $0x2b			/* CS: user code */
	pushq %rdi
	iretq
user_return:
	int $0x2f

/* SYSCALL comes here at CPL 0, on the caller's stack. At a fixed place, beside the page tables: LSTAR's value is seen. */
	.section .tables.more, "awx"
try_syscall_entry:
	movq %cs, %rax
	movq %rax, result
	movb $1, result_valid
	jmp run_resume

	.text
/* The far transfers that C cannot say. Each leaves the CS that it arrived in. */
	.globl gate_target, try_call_gate, try_jump_far, try_return_far, try_iret, try_sysret
gate_target:
	movq %cs, %rax
	lretq
try_call_gate:
	lcall *gate_pointer		/* 64-bit code has the indirect form only; the offset is not used */
	movq %rax, result
	movb $1, result_valid
	ret
try_jump_far:				/* to the code segment that we are in */
	movq %cs, %rax
	movl %eax, jump_pointer + 4
	ljmpl *jump_pointer
jump_target:
	movq %cs, %rax
	movq %rax, result
	movb $1, result_valid
	ret
try_return_far:
	movq %cs, %rax
	pushq %rax
	leaq 1f(%rip), %rax
	pushq %rax
	lretq
1:	movq %cs, %rax
	movq %rax, result
	movb $1, result_valid
	ret
try_iret:				/* to the same level, asking for IF = 0 */
	movq %rsp, %rdx
	movq %ss, %rax
	pushq %rax
	pushq %rdx
	pushq $2
	movq %cs, %rax
	pushq %rax
	leaq 1f(%rip), %rax
	pushq %rax
	iretq
1:	pushfq
	popq %rax
	shrq $9, %rax
	andl $1, %eax
	movq %rax, result
	movb $1, result_valid
	ret
try_sysret:				/* to user mode, which comes back by INT 0x2f */
	movq %rsp, sysret_stack
	leaq 1f(%rip), %rcx
	movq $2, %r11
	sysretq
1:	movq %cs, %rax
	movq %rax, result
	movb $1, result_valid
	int $0x2f

	.data
	.balign 8
	.globl run_stack
run_stack:	.quad 0
sysret_stack:	.quad 0
gate_pointer:	.long 0
		.word 0x40		/* the call gate, RPL 0 (its DPL is 3) */
		.balign 8
jump_pointer:	.long jump_target
		.word 0
	.section .note.GNU-stack, "", @progbits
