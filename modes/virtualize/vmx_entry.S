/*
 * The world switch. VM entry loads rip, rsp, rflags, segments and control registers from the VMCS by itself; the other
 * fifteen general registers are software's [SDM 3C "VM Entries"]. Everything else that the two worlds share (x87 and SSE
 * registers, debug registers, some MSRs) stays the guest's while the VMM runs: it was compiled not to use it.
 *
 * bool vmx_enter(uint64_t gpr[16], bool launched, uint64_t ticks[2])
 *   true: the guest ran and exited; gpr[] is the guest's, but for rsp. false: the entry instruction failed.
 */
	.text
	.globl	vmx_enter
	.globl	vmx_exit_point
	.type	vmx_enter, @function
vmx_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx			/* ticks[] */
	push	%rdi			/* gpr[] */
	mov	$0x6c14, %eax		/* Host RSP */
	vmwrite	%rsp, %rax
	mov	%rdx, %rbx
	mov	8(%rdi), %rcx
	mov	40(%rdi), %rbp
	mov	64(%rdi), %r8
	mov	72(%rdi), %r9
	mov	80(%rdi), %r10
	mov	88(%rdi), %r11
	mov	96(%rdi), %r12
	mov	104(%rdi), %r13
	mov	112(%rdi), %r14
	mov	120(%rdi), %r15
	rdtsc				/* from here to the guest: VMX_STUB_INSNS counts them */
	mov	%eax, 0(%rbx)
	mov	%edx, 4(%rbx)
	test	%sil, %sil
	mov	0(%rdi), %rax		/* MOV leaves the flags alone */
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	48(%rdi), %rsi
	mov	56(%rdi), %rdi
	jnz	1f
	vmlaunch
	jmp	2f
1:	vmresume
2:	xor	%eax, %eax		/* still here: VMfail, and nothing was loaded */
	jmp	3f

	/* Host RIP: every VM exit arrives here, with the stack as it was at the entry. */
vmx_exit_point:
	xchg	%rdi, (%rsp)		/* gpr[] against the guest's rdi */
	mov	%rax, 0(%rdi)
	mov	%rdx, 16(%rdi)
	rdtsc				/* and here the guest's stretch ends */
	mov	%rcx, 8(%rdi)
	mov	8(%rsp), %rcx
	mov	%eax, 8(%rcx)
	mov	%edx, 12(%rcx)
	mov	%rbx, 24(%rdi)
	mov	%rbp, 40(%rdi)
	mov	%rsi, 48(%rdi)
	mov	(%rsp), %rax
	mov	%rax, 56(%rdi)
	mov	%r8, 64(%rdi)
	mov	%r9, 72(%rdi)
	mov	%r10, 80(%rdi)
	mov	%r11, 88(%rdi)
	mov	%r12, 96(%rdi)
	mov	%r13, 104(%rdi)
	mov	%r14, 112(%rdi)
	mov	%r15, 120(%rdi)
	mov	$1, %eax
3:	pop	%rdi
	pop	%rdx
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	cld
	ret
	.size	vmx_enter, . - vmx_enter
	.section .note.GNU-stack, "", @progbits
