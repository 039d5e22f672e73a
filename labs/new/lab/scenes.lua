-- What is run with the student's files, in a process of its own: it holds no expectations.
local scenes = {}

function scenes.count(s, args)
  local vm = vmscope.vm{ guest = args.guest }
  local counted = s:call(s:load("count.lua"), vm)
  vm:run()
  return { counted = s:call(counted), vm = s:observe(vm) }
end

function scenes.plain(s, args)
  local vm = vmscope.vm{ guest = args.guest }
  vm:run()
  return { vm = s:observe(vm) }
end

return scenes
