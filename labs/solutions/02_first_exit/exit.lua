local M = {}

function M.decode_io(qual)
  return {
    size = (qual & 7) + 1,
    write = qual & 8 == 0,
    string = qual & 16 ~= 0,
    rep = qual & 32 ~= 0,
    imm = qual & 64 ~= 0,
    port = qual >> 16 & 0xffff,
  }
end

local ACCESS = { [0] = "mov_to", [1] = "mov_from", [2] = "clts", [3] = "lmsw" }

function M.decode_cr(qual)
  local access = ACCESS[qual >> 4 & 3]
  if access == "clts" then return { access = access } end
  if access == "lmsw" then
    return { access = access, source = qual >> 16 & 0xffff, memory = qual >> 6 & 1 == 1 }
  end
  return { access = access, cr = qual & 15, gpr = qual >> 8 & 15 }
end

function M.next_rip(exit)
  return exit.rip + exit.insn_len
end

local ADDRESS = 0x000ffffffffff000

function M.walk(mem, cr3, address)
  local at = cr3 & ADDRESS
  for _, shift in ipairs{ 39, 30, 21, 12 } do
    local entry = mem:u64(at + 8 * (address >> shift & 0x1ff))
    if entry & 1 == 0 then return nil end
    if shift == 12 or entry & 0x80 ~= 0 then
      local offset = (1 << shift) - 1
      return entry & ADDRESS & ~offset | address & offset
    end
    at = entry & ADDRESS
  end
end

function M.follow(vm, reason)
  vm:run{ until_ = "exit " .. reason }
  local exit, cpu = vm.exit, vm.cpu[1]
  local bytes = {}
  for address = exit.rip, M.next_rip(exit) - 1 do
    if cpu.cr0 >> 31 == 1 then address = M.walk(vm.mem, cpu.cr3, address) end
    bytes[#bytes + 1] = ("%02x"):format(vm.mem[address])
  end
  return {
    rip = exit.rip,
    bytes = table.concat(bytes, " "),
    next_rip = M.next_rip(exit),
    rip_after = cpu.rip,
    verdict = vm.trace[#vm.trace].verdict,
  }
end

function M.latch(vm, port)
  local value = 0
  vm:on_exit("IO_INSTRUCTION", function(exit, cpu)
    local io = M.decode_io(exit.qual)
    if io.port ~= port then return end
    local mask = (1 << 8 * io.size) - 1
    if io.write then
      value = value & ~mask | cpu.rax & mask
    else
      exit.value = value & mask
    end
    return "next"
  end)
end

return M
