/*
 * The 16550A serial port at 3f8, IRQ 4: the console of every small kernel.
 *
 * Transmission takes no time: a byte written is out at once, so the transmitter is always empty again; the "holding
 * register empty" interrupt therefore follows every write that wants it. Reception is real: typed bytes wait in a
 * backlog outside and enter the 16-byte FIFO (or the one receiver register) as there is room, so nothing typed overruns
 * it; only loopback can overrun. The trigger level and the time-out of four characters work on guest time.
 *
 * Interrupts, highest first: line status, data available or time-out, transmitter empty, modem status. OUT2 does not
 * gate the IRQ line, as in other virtual machines: small kernels do not set it.
 */
#include "core/dev/dev.h"
#include "core/dev/ticks.h"
#include "core/dev/uart16550.h"

#define UART_IRQ 4u
#define UART_CLOCK 115200ull /* baud rate at divisor 1 */

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RX 0x01u
#define IER_TX 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u
#define IIR_NONE 0x01u
#define IIR_TX 0x02u
#define IIR_RX 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_BREAK 0x40u
#define LCR_DLAB 0x80u
#define MCR_LOOP 0x10u
#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_BI 0x10u
#define LSR_ERRORS 0x1eu
#define LSR_TX_EMPTY 0x60u
#define LSR_FIFO_ERROR 0x80u
#define MSR_TERI 0x04u
#define MSR_ATTACHED 0xb0u /* CTS, DSR and DCD: somebody is at the other end */

static bool fifo_on(const struct uart16550_state *s)
{
	return s->fcr & FCR_ENABLE;
}

static unsigned trigger_level(const struct uart16550_state *s)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	return fifo_on(s) ? level[s->fcr >> 6] : 1;
}

/* Four characters at the programmed rate, in ns: start, data, parity and stop bits. */
static uint64_t timeout_ns(const struct uart16550_state *s)
{
	uint64_t divisor = (uint64_t)(s->dlm << 8 | s->dll);
	uint64_t bits = 1u + 5u + (s->lcr & 3u) + (s->lcr >> 3 & 1u) + 1u + (s->lcr >> 2 & 1u);

	return 4 * bits * (divisor ? divisor : 1) * NS_PER_S / UART_CLOCK;
}

/* The highest interrupt that is enabled and pending. */
static uint8_t interrupt_id(const struct uart16550_state *s)
{
	bool line = s->oe || (s->n && !s->head_seen && s->fifo_error[0]);

	if ((s->ier & IER_LINE) && line)
		return IIR_LINE;
	if ((s->ier & IER_RX) && s->n >= trigger_level(s))
		return IIR_RX;
	if ((s->ier & IER_RX) && s->timed_out)
		return IIR_TIMEOUT;
	if ((s->ier & IER_TX) && s->tx_pending)
		return IIR_TX;
	if ((s->ier & IER_MODEM) && (s->msr & 0x0fu))
		return 0;
	return IIR_NONE;
}

/* The time-out runs while bytes wait below the trigger level and somebody wants to know. */
static void arm(struct device *d)
{
	struct uart16550_state *s = d->state;
	bool waiting = fifo_on(s) && s->n && s->n < trigger_level(s) && (s->ier & IER_RX) && !s->timed_out;

	clock_arm(&d->vm->clock, d->timer, waiting ? s->active_ns + timeout_ns(s) : CLOCK_NEVER);
}

static void update(struct device *d)
{
	const struct uart16550_state *s = d->state;

	arm(d);
	irq_set_line(d->vm, UART_IRQ, interrupt_id(s) != IIR_NONE);
}

static void fire(void *arg, uint64_t deadline_ns)
{
	struct device *d = arg;
	struct uart16550_state *s = d->state;

	(void)deadline_ns;
	s->timed_out = 1;
	update(d);
}

/* One character arrives on the serial input. */
static void receive(struct device *d, uint8_t byte, uint8_t error)
{
	struct uart16550_state *s = d->state;
	unsigned size = fifo_on(s) ? UART_FIFO_SIZE : 1;

	s->active_ns = clock_now_ns(&d->vm->clock);
	s->timed_out = 0;
	if (s->n >= size) {
		s->oe = LSR_OE; /* the FIFO keeps what it has, the single register is overwritten */
		if (fifo_on(s))
			return;
		s->n = 0;
	}
	if (s->n == 0)
		s->head_seen = 0;
	s->fifo[s->n] = byte;
	s->fifo_error[s->n++] = error;
}

/* Moves typed bytes into the receiver. In loopback the serial input is disconnected: they wait. */
static void refill(struct device *d)
{
	struct uart16550_state *s = d->state;
	unsigned size = fifo_on(s) ? UART_FIFO_SIZE : 1;

	while (!(s->mcr & MCR_LOOP) && s->n < size && s->backlog_out != s->backlog_in)
		receive(d, s->backlog[s->backlog_out++ % UART_BACKLOG_SIZE], 0);
}

bool uart16550_type(struct device *d, uint8_t byte)
{
	struct uart16550_state *s = d->state;

	if (s->backlog_in - s->backlog_out >= UART_BACKLOG_SIZE)
		return false;
	s->backlog[s->backlog_in++ % UART_BACKLOG_SIZE] = byte;
	refill(d);
	update(d);
	return true;
}

static uint8_t read_data(struct device *d)
{
	struct uart16550_state *s = d->state;
	uint8_t byte = s->fifo[0];

	if (!s->n)
		return fifo_on(s) ? 0 : byte; /* the register keeps its last byte */
	s->n--;
	s->head_seen = 0;
	s->timed_out = 0;
	s->active_ns = clock_now_ns(&d->vm->clock);
	if (s->n) {
		memmove(s->fifo, s->fifo + 1, s->n);
		memmove(s->fifo_error, s->fifo_error + 1, s->n);
	}
	refill(d);
	return byte;
}

static uint8_t read_lsr(struct uart16550_state *s)
{
	uint8_t v = (uint8_t)(LSR_TX_EMPTY | s->oe | (s->n ? LSR_DR : 0));

	if (s->n && !s->head_seen)
		v |= s->fifo_error[0];
	for (unsigned i = s->head_seen; fifo_on(s) && i < s->n; i++)
		if (s->fifo_error[i])
			v |= LSR_FIFO_ERROR;
	s->oe = 0;
	s->head_seen = s->n != 0; /* reading the register clears the error bits */
	return v;
}

/* Modem inputs: fixed, or in loopback the modem outputs (DTR, RTS, OUT1, OUT2 to DSR, CTS, RI, DCD). */
static void modem_inputs(struct uart16550_state *s)
{
	uint8_t m = s->mcr, old = s->msr, now = MSR_ATTACHED, delta;

	if (m & MCR_LOOP)
		now = (uint8_t)((m & 2u) << 3 | (m & 1u) << 5 | (m & 4u) << 4 | (m & 8u) << 4);
	delta = (uint8_t)((old ^ now) >> 4);
	if (now & 0x40u) /* the ring indicator reports its trailing edge only */
		delta &= (uint8_t)~MSR_TERI;
	s->msr = (uint8_t)(now | (old & 0x0fu) | delta);
}

static uint8_t read_iir(struct uart16550_state *s)
{
	uint8_t id = interrupt_id(s);

	if (id == IIR_TX)
		s->tx_pending = 0; /* reading IIR acknowledges this one */
	return (uint8_t)(id | (fifo_on(s) ? IIR_FIFO : 0));
}

static uint64_t uart16550_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct uart16550_state *s = d->state;
	bool dlab = s->lcr & LCR_DLAB;
	uint8_t v = 0;

	(void)region, (void)len;
	switch (off) {
	case REG_DATA:
		v = dlab ? s->dll : read_data(d);
		break;
	case REG_IER:
		v = dlab ? s->dlm : s->ier;
		break;
	case REG_IIR_FCR:
		v = read_iir(s);
		break;
	case REG_LCR:
		v = s->lcr;
		break;
	case REG_MCR:
		v = s->mcr;
		break;
	case REG_LSR:
		v = read_lsr(s);
		break;
	case REG_MSR:
		v = s->msr;
		s->msr &= 0xf0u; /* the deltas are gone once read */
		break;
	default:
		v = s->scr;
		break;
	}
	update(d);
	return v;
}

static void transmit(struct device *d, uint8_t byte)
{
	struct uart16550_state *s = d->state;
	const struct vm_config *cfg = &d->vm->cfg;

	s->tx_pending = 0;
	update(d); /* the write withdraws the request; the byte leaves at once, and a new one is an edge */
	s->tx_pending = 1;
	if (s->mcr & MCR_LOOP)
		receive(d, s->lcr & LCR_BREAK ? 0 : byte, s->lcr & LCR_BREAK ? LSR_BI : 0);
	else if (cfg->console)
		cfg->console(cfg->console_arg, "uart", byte);
}

static void write_fcr(struct device *d, uint8_t v)
{
	struct uart16550_state *s = d->state;
	bool switched = (v ^ s->fcr) & FCR_ENABLE;

	if (switched || (v & FCR_CLEAR_RX)) {
		s->n = 0;
		s->timed_out = 0;
	}
	s->fcr = v & FCR_ENABLE ? v & 0xc9u : 0; /* the other bits count only with bit 0 */
	refill(d);
}

static void write_ier(struct uart16550_state *s, uint8_t v)
{
	if ((v & IER_TX) && !(s->ier & IER_TX))
		s->tx_pending = 1; /* enabling it reports an empty transmitter at once */
	s->ier = v & 0x0fu;
}

static void uart16550_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct uart16550_state *s = d->state;
	uint8_t v = (uint8_t)value;
	bool dlab = s->lcr & LCR_DLAB;

	(void)region, (void)len;
	switch (off) {
	case REG_DATA:
		if (dlab)
			s->dll = v;
		else
			transmit(d, v);
		break;
	case REG_IER:
		if (dlab)
			s->dlm = v;
		else
			write_ier(s, v);
		break;
	case REG_IIR_FCR:
		write_fcr(d, v);
		break;
	case REG_LCR:
		s->lcr = v;
		break;
	case REG_MCR:
		s->mcr = v & 0x1fu;
		modem_inputs(s);
		refill(d);
		break;
	case REG_SCR:
		s->scr = v;
		return; /* no interrupt depends on it */
	default:	/* LSR and MSR: for the factory only */
		break;
	}
	update(d);
}

static enum err uart16550_init(struct device *d, struct errmsg *why)
{
	return dev_add_timer(d, fire, why);
}

/* What was typed stays typed: it is outside of the chip. */
static void uart16550_reset(struct device *d)
{
	struct uart16550_state *s = d->state;

	memset(s, 0, offsetof(struct uart16550_state, backlog_in));
	s->dll = 1;
	s->msr = MSR_ATTACHED;
	refill(d);
	update(d);
}

const struct device_ops uart16550_ops = {
    .name = "uart16550",
    .state_version = 1,
    .state_size = sizeof(struct uart16550_state),
    .init = uart16550_init,
    .reset = uart16550_reset,
    .read = uart16550_read,
    .write = uart16550_write,
    .max_access = 1,
    .restored = arm,
};
