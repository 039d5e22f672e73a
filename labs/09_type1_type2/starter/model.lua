-- What the VMM's part of an exit costs: the path that it takes, step by step. Every figure names the CPU, the year and
-- the source it comes from. What nobody has published is not in it: the work of the handlers themselves, and what an
-- exit costs afterwards by cold caches (the SplitX paper: in some cases ten times the direct cost). So these are lower
-- bounds, and every table that shows them calls them modelled.
return {
	name = "nehalem-2011",
	cpu = "Intel Xeon X5570, 2.93 GHz (Nehalem-EP, 2009)",
	year = 2011,

	steps = {
		exit = {
			text = "world switch: guest to VMM",
			ns = 341,
			cpu = "Intel Xeon X5570, 2.93 GHz",
			year = 2011,
			source = "Landau, Ben-Yehuda, Gordon: SplitX (WIOV 2011), direct cost 2,000 cycles there and back; "
				.. "the halves are our division",
		},
		entry = {
			text = "world switch: VMM to guest",
			ns = 342,
			cpu = "Intel Xeon X5570, 2.93 GHz",
			year = 2011,
			source = "as exit: the other half of 2,000 cycles",
		},
		to_process = {
			text = "host kernel to VMM process",
			ns = 197,
			cpu = "AMD server with SEV-ES; 576 cycles taken at 2.93 GHz",
			year = 2020,
			source = "Linux kernel mailing list, December 2020 (2012.2/00527): after VMRUN to the return of the ioctl",
		},
		from_process = {
			text = "VMM process to host kernel",
			ns = 197,
			cpu = "AMD server with SEV-ES; 576 cycles taken at 2.93 GHz",
			year = 2020,
			source = "Linux kernel mailing list, December 2020 (2012.2/00527): entry of the ioctl to VMRUN",
		},
		host_driver = {
			text = "host driver: one system call",
			ns = 76,
			cpu = "x86-64 cloud machine, Linux 6.18",
			year = 2025,
			source = "measured in-house: median of getppid, a lower bound for any driver",
		},
		host_scheduler = {
			text = "host scheduler: sleep and be woken",
			ns = 2130,
			cpu = "x86-64 cloud machine, Linux 6.18",
			year = 2025,
			source = "measured in-house: one task stops, another goes on and wakes it, both on one CPU (ptrace)",
		},
	},

	-- Type I: one world switch each way. Drivers and the scheduler are the VMM's own.
	type1 = {
		default = { "exit", "entry" },
	},

	-- Type II: the host kernel answers most exits itself; for a device it asks the VMM process, which uses the drivers
	-- of the host and competes for the CPU with everybody else on it.
	type2 = {
		default = { "exit", "entry" },
		IO_INSTRUCTION = { "exit", "to_process", "host_driver", "from_process", "entry" },
		EPT_VIOLATION = { "exit", "to_process", "host_driver", "from_process", "entry" },
		EPT_MISCONFIG = { "exit", "to_process", "host_driver", "from_process", "entry" },
		HLT = { "exit", "to_process", "host_scheduler", "from_process", "entry" },
		TRIPLE_FAULT = { "exit", "to_process" },
		EXTERNAL_INTERRUPT = { "exit", "to_process", "host_driver", "from_process", "entry" },
		PREEMPTION_TIMER = { "exit", "to_process", "host_driver", "from_process", "entry" },
	},
}
