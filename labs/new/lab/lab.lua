-- What is asked, what is expected, how many points. A submission never sees this file.
return {
  id = "@NAME@",
  title = "Count what a guest prints",
  minutes = { 10, 20 },
  files = { "count.lua" },
  predictions = {
    { id = "exits", ask = "How many exits does guest hello cause?", points = 5, within = 5,
      answer = function(t) return t:run("plain", { guest = "hello" }).vm.exits end },
  },
  tasks = {
    { id = "hello", title = "The characters of guest hello", points = 10,
      check = function(t)
        local r = t:run("count", { guest = "hello" })
        t:equal("characters counted", r.counted, #r.vm.console)
      end },
    { id = "any", title = "Those of any guest", points = 10, after = { "hello" }, hidden = true,
      check = function(t)
        for _, guest in ipairs{ "primes", "timer" } do
          local r = t:run("count", { guest = guest })
          t:equal("characters of " .. guest, r.counted, #r.vm.console)
        end
      end },
  },
}
