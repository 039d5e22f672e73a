"""Are the results that come in (tests/programs/x87_functions.c) the exact ones, correctly rounded?

The functions by mpmath with 420 bits. FSIN, FCOS, FSINCOS and FPTAN subtract a multiple of pi/2 first, with pi cut to 66
bits, as the processors do. Prints what is not the correctly rounded result, then a line for each instruction.
"""
import sys
from collections import Counter

from mpmath import mp, mpf

mp.prec = 420
PI_66 = 3 << 64 | 0x243F6A8885A308D3  # in units of 2^-64; pi/2 in units of 2^-65
BIAS = 16383 + 63


def parse(text):
    """Sign and exponent, significand -> integer m and e with m * 2^e."""
    se, sig = (int(part, 16) for part in text.split(":"))
    return (-sig if se >> 15 else sig), (se & 0x7FFF) - BIAS


def real(m, e):
    return mp.ldexp(mpf(m), e)


def reduced(m, e):
    """The argument without a multiple of pi/2, and that multiple."""
    shift = e + 65
    if shift < 0:
        m, unit, scale = m, PI_66 << -shift, e
    else:
        m, unit, scale = m << shift, PI_66, -65
    quotient = (2 * abs(m) + unit) // (2 * unit)
    rest = abs(m) - quotient * unit
    return real(rest if m > 0 else -rest, scale), quotient if m > 0 else -quotient


def sine(a, quarter):
    rest, quotient = reduced(*a)
    quotient = (quotient + quarter) % 4
    value = mp.cos(rest) if quotient & 1 else mp.sin(rest)
    return -value if quotient & 2 else value


def tangent(a):
    return sine(a, 0) / sine(a, 1)


def log2(m, e):
    if m & (m - 1) == 0:
        return mpf(m.bit_length() - 1 + e)
    return mp.log(real(m, e)) / mp.log(2)


# By instruction: what is in ST(0) and ST(1) afterwards, of ST(0) and ST(1) before.
FUNCTIONS = {
    "f2xm1": lambda a, b: (mp.power(2, real(*a)) - 1, None),
    "fyl2x": lambda a, b: (real(*b) * log2(*a), None),
    "fyl2xp1": lambda a, b: (real(*b) * mp.log(1 + real(*a)) / mp.log(2), None),
    "fpatan": lambda a, b: (mp.atan2(real(*b), real(*a)), None),
    "fsin": lambda a, b: (sine(a, 0), None),
    "fcos": lambda a, b: (sine(a, 1), None),
    "fsincos": lambda a, b: (sine(a, 1), sine(a, 0)),
    "fptan": lambda a, b: (mpf(1), tangent(a)),
}


def rounded(value, control):
    """To 64 bits: control is 0 to nearest, 1 down, 2 up, 3 to zero. The result as m, e."""
    sign, m, e, size = mpf(value)._mpf_
    m, e = int(m), int(e)
    if size <= 64:
        return (-m if sign else m) << (64 - size), e - (64 - size)
    shift = size - 64
    rest, half = m & ((1 << shift) - 1), 1 << (shift - 1)
    m, e = m >> shift, e + shift
    if control == 0:
        up = rest > half or (rest == half and m & 1)
    else:
        up = control == (1 if sign else 2)
    if up:
        m += 1
        if m >> 64:
            m, e = m >> 1, e + 1
    return (-m if sign else m), e


def main():
    seen, wrong = Counter(), Counter()
    for line in sys.stdin:
        name, control, st0, st1, _, *results = line.split()
        exact = FUNCTIONS[name](parse(st0), parse(st1))
        for want, got in zip(exact, results):
            if want is None:
                continue
            seen[name] += 1
            got = parse(got)
            if (got[0] == 0 and want == 0) or got == rounded(want, int(control)):
                continue
            wrong[name] += 1
            if wrong[name] <= 3:
                print(f"{line.strip()}: should be {mp.nstr(want, 30)}")
    for name in FUNCTIONS:
        print(f"{name}: {seen[name]} results, {wrong[name]} not correctly rounded")
    return 1 if wrong or not seen else 0


sys.exit(main())
