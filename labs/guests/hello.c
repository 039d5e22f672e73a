/*
 * hello: the smallest guest worth watching. Every character is two exits: a read of the UART's line status, a write of
 * the byte. Uses nothing that the poorest KVM lacks.
 */
#include "lib/rt.h"

void guest_main(void)
{
	put("Hello from a guest: long mode, CPL 0, one UART.\n");
}
