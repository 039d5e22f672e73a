/*
 * A host that lacks something: without_layers landlock|namespaces|both COMMAND... runs the command where the system
 * calls for it are refused, as containers do.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/types.h"

#define ON(nr, error) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static bool refuse(struct sock_filter *code, unsigned short n)
{
	const struct sock_fprog prog = {n, code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

int main(int argc, char **argv)
{
	struct sock_filter landlock[] = {LOAD_NUMBER, ON(SYS_landlock_create_ruleset, ENOSYS), ALLOW};
	struct sock_filter namespaces[] = {LOAD_NUMBER, ON(SYS_unshare, EPERM), ON(SYS_mount, EPERM), ALLOW};

	if (argc < 3)
		return 2;
	bool both = strcmp(argv[1], "both") == 0, good = true;
	if (both || strcmp(argv[1], "landlock") == 0)
		good = refuse(landlock, ARRAY_LEN(landlock));
	if (both || strcmp(argv[1], "namespaces") == 0)
		good = good && refuse(namespaces, ARRAY_LEN(namespaces));
	if (!good)
		return 2;
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 2;
}
