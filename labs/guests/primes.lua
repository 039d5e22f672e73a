-- primes: a long computation between two lines of output. What it computes matters, for it is printed; how, does not:
-- to the VMM the sieve is so many innocuous instructions.
local rt = include "rt"

-- Odd numbers below n: how many primes, their checksum, and how often the sieve's inner loop ran.
local function sieve(n)
	local composite, half, inner = {}, n // 2, 0
	local i = 1
	while (2 * i + 1) ^ 2 < n do
		if not composite[i] then
			for j = 2 * i * (i + 1), half - 1, 2 * i + 1 do
				composite[j] = true
				inner = inner + 1
			end
		end
		i = i + 1
	end
	local count, sum = 1, 2
	for k = 1, half - 1 do
		if not composite[k] then
			count = count + 1
			sum = (sum * 31 + 2 * k + 1) & 0xffffffff
		end
	end
	return count, sum, inner
end

return function(g)
	rt.boot(g)
	local n, rounds = g:arg("n", 100000), g:arg("rounds", 1)
	if n < 3 or n > 8000000 then
		rt.put(g, "primes: n must be 3 to 8000000\n")
		rt.exit(g, 1)
	end
	local count, sum, inner = sieve(n)
	for _ = 1, rounds do
		g:compute(n // 2 * 4 + inner * 4) -- clear the array, strike out
	end
	g:compute(n // 2 * 5 + count * 4) -- count what is left
	rt.put(g, ("primes below %d: %d, checksum %08x\n"):format(n, count, sum))
	rt.exit(g, 0)
end
