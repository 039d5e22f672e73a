-- A 16550A at ports 0x3f8 to 0x3ff, interrupt line 4. The file gives a function; each call makes a new UART. Of
-- vmscope it has vmscope.device only.
return function()
  local scr = 0 -- the state of this one

  return {
    device = vmscope.device{
      ports = { 0x3f8, 0x3ff },
      -- offset: 0 to 7, the register; gives a number
      read = function(offset, size, vm)
        return 0
      end,
      write = function(offset, size, value, vm)
      end,
    },
    -- A byte comes in on the line.
    receive = function(vm, byte)
    end,
  }
end
