-- A lab for tests: every kind of line, a gate, a hidden task, predictions.
return {
  id = "01_test",
  title = "A lab for tests",
  minutes = { 1, 2 },
  files = { "cpuid.lua", "more.lua" },
  -- The default handler has run by then: no verdict means its own, which is "next".
  equivalent = { "cpuid.lua:11: return ... -> return nil" },
  predictions = {
    { id = "exits", ask = "How many exits does the guest hello cause?", points = 5, within = 2,
      answer = function(t) return t:run("plain").vm.exits end },
    { id = "reason", ask = "And what are most of them?", points = 5, answer = "IO_INSTRUCTION" },
  },
  tasks = {
    { id = "hide", title = "Hide the hypervisor", points = 20,
      check = function(t)
        local r = t:run("ask", { leaf = 1 })
        t:weight(2)
        t:equal("bit 31 of ECX", r.ecx >> 31, 0, r.vm.rip_of.CPUID)
        t:weight(1)
        t:band("CPUID exits", r.vm.exits_by.CPUID, { { 1, 1, 1.0 }, { 2, 3, 0.5 } }, r.vm.rip_of.CPUID)
        t:verdict("safety", r.vm.verdicts.safety, "holds")
        t:budget("all exits", r.vm.exits, t:reference("ask", { leaf = 1 }).vm.exits, { { 1.2, 1.0 }, { 2, 0.5 } })
      end },
    { id = "upper", title = "A louder guest", points = 10,
      check = function(t)
        local r = t:run("console")
        t:text("console", r.vm.console, "HELLO FROM A GUEST")
        t:equal("lines, as a table", r.lines, { first = "HELLO FROM A GUEST: LONG MODE, CPL 0, ONE UART.", n = 1 })
        t:equal("answer", r.answer, 42)
        t:say("the console is what the guest wrote to its UART")
      end },
    { id = "unseen", title = "Any leaf", points = 20, after = { "hide" }, hidden = true,
      check = function(t)
        for _ = 1, 3 do
          local leaf = t:random(2, 0x16)
          t:equal(("leaf %#x"):format(leaf), t:run("ask", { leaf = leaf }).eax, t:reference("ask", { leaf = leaf }).eax)
        end
        t:equal("ECX of leaf 1", t:run("ask", { leaf = 1 }).ecx, t:reference("ask", { leaf = 1 }).ecx)
      end },
  },
}
