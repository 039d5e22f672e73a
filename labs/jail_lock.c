/*
 * The lock-down: what a process in the jail does to itself before it lets anything in that is not trusted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "labs/asm.h"
#include "labs/jail_impl.h"

#ifdef __SANITIZE_ADDRESS__
/* The leak check at a program's end traces the program, which nobody may in there. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return getenv(JAIL_VARIABLE) != NULL;
}
#endif

enum err jail_lock_down(struct errmsg *why)
{
	const char *held = getenv(JAIL_VARIABLE);
	/* Without Landlock and without a root of its own nothing tells one file from another: none is opened at all. */
	bool files = held && held[0];

	if (files) {
		enum err e = asm_start_helper(why);
		if (e)
			return e;
	} else {
		asm_refuse("nothing would hold the assembler on this machine");
	}
	(void)jail_landlock_final();
	if (!jail_filter_final(files))
		return err_set(
		    why, ERR_NODEV, "no seccomp filter: %s: nothing may run that is not trusted", strerror(errno));
	if (!files)
		return err_set(why, ERR_NODEV,
		    "this machine has neither Landlock (Linux 5.13) nor namespaces for us: nothing would tell the "
		    "files of a "
		    "submission from others; allow one of the two");
	return ERR_OK;
}
