-- A guest that uses your UART: vmscope lab run play.lua. Not handed in: change it as you like.
local make = include("uart")

local function run(with_mine)
  local uart = make()
  local vm = vmscope.vm{ guest = "hello", max_insns = 100000, devices = with_mine and { uart.device } or nil }
  vm:on_exit("IO_INSTRUCTION", function(exit) -- what the guest does with the UART, the first 20 times
    if exit.port >= 0x3f8 and exit.port <= 0x3ff and exit.index < 24 then
      exit:default()
      print(("%s register %d: %02x"):format(exit.write and "write" or "read ", exit.port - 0x3f8, exit.value))
      return "next"
    end
  end)
  print(vm:run(), vm.exits, vm.console)
end

run(false) -- the machine's own
run(true) -- yours
