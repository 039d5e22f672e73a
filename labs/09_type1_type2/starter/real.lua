-- vmscope lab run real.lua: the same exits in every backend of this machine. Times are modelled or measured, as it
-- says; what is not here is named with the reason, and you lose nothing: no point depends on it.
local N = 2000
local backends = {
  { mode = "simulate", type = 1 }, { mode = "simulate", type = 2 }, { mode = "emulate", type = 2 },
  { mode = "emulate", type = 1 }, { mode = "virtualize", type = 2 },
  { mode = "virtualize", type = 1, machine = "bochs" }, { mode = "virtualize", type = 1, machine = "qemu" },
}

for _, b in ipairs(backends) do
  local name = b.mode .. "/" .. (b.type == 1 and "I" or "II") .. (b.machine and " on " .. b.machine or "")
  local ok, vm = pcall(vmscope.vm, { guest = "exits", append = ("only=1 cpuid=%d out=%d"):format(N, N), mode = b.mode,
    type = b.type, machine = b.machine })
  local why = vm
  if ok then
    ok, why = pcall(vm.run, vm)
  end
  if not ok then
    print(name, "not here: " .. tostring(why))
  else
    for _, row in ipairs(vm.stats.rows) do
      if row.samples >= N then
        print(name, row.name, row.samples, ("%.0f ns each"):format(row.mean_ns), row.cost, "seen by: " .. row.observed)
      end
    end
    vm:close()
  end
end
