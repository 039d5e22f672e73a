-- A 16550A at 0x3f8, IRQ 4.
local IRQ, FIFO_SIZE = 4, 16
local DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = 0, 1, 2, 3, 4, 5, 6, 7

return function()
  local u = { ier = 0, lcr = 0, mcr = 0, msr = 0xb0, scr = 0, dll = 1, dlm = 0, fifo = false, overrun = false }
  local received, outside = {}, {}

  local function interrupt()
    if u.ier & 4 ~= 0 and u.overrun then return 6 end
    if u.ier & 1 ~= 0 and #received > 0 then return 4 end
    if u.ier & 2 ~= 0 and u.sent then return 2 end
    if u.ier & 8 ~= 0 and u.msr & 0x0f ~= 0 then return 0 end
    return 1
  end

  local function update(vm)
    vm:irq(IRQ, interrupt() ~= 1)
  end

  local function size() return u.fifo and FIFO_SIZE or 1 end
  local function loopback() return u.mcr & 0x10 ~= 0 end
  local function dlab() return u.lcr & 0x80 ~= 0 end

  local function arrive(byte)
    if #received == size() then
      u.overrun = true
      if u.fifo then return end
      received[1] = nil
    end
    received[#received + 1] = byte
  end

  local function refill()
    while not loopback() and #outside > 0 and #received < size() do
      arrive(table.remove(outside, 1))
    end
  end

  local function send(vm, byte)
    u.sent = true
    if loopback() then
      arrive(byte)
    else
      vm:emit(string.char(byte))
    end
  end

  -- The modem's inputs: somebody is there, or in loopback the outputs. A change sets its delta, RI only when it falls.
  local function modem()
    local now = 0xb0
    if loopback() then
      now = (u.mcr & 1) << 5 | (u.mcr & 2) << 3 | (u.mcr & 12) << 4
    end
    local delta = (u.msr ~ now) >> 4
    if now & 1 << 6 ~= 0 then delta = delta & ~4 end
    u.msr = now | u.msr & 0x0f | delta
  end

  local read = {
    [DATA] = function()
      if dlab() then return u.dll end
      local byte = table.remove(received, 1) or 0
      refill()
      return byte
    end,
    [IER] = function() return dlab() and u.dlm or u.ier end,
    [IIR] = function()
      local id = interrupt()
      if id == 2 then u.sent = false end
      return id | (u.fifo and 0xc0 or 0)
    end,
    [LCR] = function() return u.lcr end,
    [MCR] = function() return u.mcr end,
    [LSR] = function()
      local v = 0x60 | (u.overrun and 2 or 0) | (#received > 0 and 1 or 0)
      u.overrun = false
      return v
    end,
    [MSR] = function()
      local v = u.msr
      u.msr = v & 0xf0
      return v
    end,
    [SCR] = function() return u.scr end,
  }

  local write = {
    [DATA] = function(vm, v)
      if dlab() then u.dll = v else send(vm, v) end
    end,
    [IER] = function(_, v)
      if dlab() then
        u.dlm = v
        return
      end
      if v & ~u.ier & 2 ~= 0 then u.sent = true end -- newly asked for: it is empty
      u.ier = v & 0x0f
    end,
    [IIR] = function(_, v) -- FCR
      local on = v & 1 ~= 0
      if on ~= u.fifo or v & 2 ~= 0 then received = {} end
      u.fifo = on
      refill()
    end,
    [LCR] = function(_, v) u.lcr = v end,
    [MCR] = function(_, v)
      u.mcr = v & 0x1f
      modem()
      refill()
    end,
    [LSR] = function() end,
    [MSR] = function() end,
    [SCR] = function(_, v) u.scr = v end,
  }

  return {
    device = vmscope.device{
      ports = { 0x3f8, 0x3ff },
      read = function(offset, _, vm)
        local v = read[offset]()
        update(vm)
        return v
      end,
      write = function(offset, _, value, vm)
        write[offset](vm, value & 0xff)
        update(vm)
      end,
    },
    receive = function(vm, byte)
      outside[#outside + 1] = byte
      refill()
      update(vm)
    end,
  }
end
