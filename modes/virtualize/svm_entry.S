/*
 * The world switch of AMD-V. VMRUN and #VMEXIT switch RIP, RSP, RAX, RFLAGS, control registers, CS, SS, DS, ES, GDTR
 * and IDTR; VMLOAD and VMSAVE switch FS, GS, TR, LDTR and the MSRs of system calls; the other general registers are
 * the VMM's to switch, here. Host interrupts: VMRUN sets GIF, and with V_INTR_MASKING the host's own RFLAGS.IF decides
 * whether a physical interrupt ends the run, so it is set across VMRUN, while CLGI keeps it from being taken outside.
 *
 * void svm_enter(uint64_t vmcb_pa (rdi), uint64_t *gpr (rsi), uint64_t host_vmcb_pa (rdx))
 * gpr is in the order of enum x86_gpr: RAX RCX RDX RBX RSP RBP RSI RDI R8-R15.
 */
	.text
	.globl	svm_enter
	.type	svm_enter, @function
svm_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rsi
	clgi
	sti
	/* What VMLOAD is about to replace; the host's own block keeps it. */
	mov	%rdx, %rax
	vmsave	%rax
	mov	%rdi, %rax
	mov	8(%rsi), %rcx
	mov	16(%rsi), %rdx
	mov	24(%rsi), %rbx
	mov	40(%rsi), %rbp
	mov	56(%rsi), %rdi
	mov	64(%rsi), %r8
	mov	72(%rsi), %r9
	mov	80(%rsi), %r10
	mov	88(%rsi), %r11
	mov	96(%rsi), %r12
	mov	104(%rsi), %r13
	mov	112(%rsi), %r14
	mov	120(%rsi), %r15
	mov	48(%rsi), %rsi
	vmload	%rax
	vmrun	%rax
	vmsave	%rax
	/* #VMEXIT gave RAX and RSP back. */
	xchg	%rsi, (%rsp)
	mov	%rcx, 8(%rsi)
	mov	%rdx, 16(%rsi)
	mov	%rbx, 24(%rsi)
	mov	%rbp, 40(%rsi)
	mov	%rdi, 56(%rsi)
	mov	%r8, 64(%rsi)
	mov	%r9, 72(%rsi)
	mov	%r10, 80(%rsi)
	mov	%r11, 88(%rsi)
	mov	%r12, 96(%rsi)
	mov	%r13, 104(%rsi)
	mov	%r14, 112(%rsi)
	mov	%r15, 120(%rsi)
	pop	%rax
	mov	%rax, 48(%rsi)
	pop	%rax
	vmload	%rax
	cli
	stgi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	svm_enter, . - svm_enter
	.section .note.GNU-stack, "", @progbits
