local scenes = {}

function scenes.plain(s)
  local vm = vmscope.vm{ guest = "hello" }
  vm:run()
  return { vm = s:observe(vm) }
end

function scenes.ask(s, args)
  local vm = vmscope.vm{ image = s:guest("ask") }
  vm.mem:u32(0x7000, args.leaf)
  s:call(s:load_function("cpuid.lua", nil, "install"), vm)
  vm:run()
  return { eax = vm.mem:u32(0x7010), ecx = vm.mem:u32(0x7018), vm = s:observe(vm) }
end

function scenes.console(s)
  local m = s:load("more.lua")
  local vm = vmscope.vm{ guest = "hello" }
  s:call(m.upper, vm)
  vm:run()
  local first = vm.console:match("[^\n]*")
  return { vm = s:observe(vm), lines = { first = first, n = select(2, vm.console:gsub("\n", "")) }, answer = m.answer }
end

return scenes
